//! Reads a project from its folder: the pipeline file, then every SQL file of its layers.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::pipeline::Pipeline;
use super::schema::names_a_table;
use super::variables::{self, Environment, named_variables};
use super::yaml::{self, Parsed};
use crate::diagnostic::{Diagnostic, SourceFile, Span, in_order, list};
use crate::error::{Error, Result, gather};
use crate::{sql, storage};

/// The version of the pipeline file's format.
pub const PIPELINE_VERSION: u32 = 1;

/// Limits on what is read from a project, so that a stray file cannot exhaust memory.
const MAX_TEXT_BYTES: u64 = 4 * 1024 * 1024;

/// The most text that a project may have in all its files: as much as is read back of a project that a publication keeps.
const MAX_PROJECT_BYTES: usize = 64 * 1024 * 1024;

/// The most models of a project.
const MAX_MODELS: usize = 2_000;

/// A project: a pipeline file and the SQL models beside it.
#[derive(Debug)]
pub struct Project {
    /// The folder that `pipelines/` and `sql/` are in; locations in the file are relative to it.
    pub root: PathBuf,
    /// The text of the pipeline file.
    pub file: Arc<SourceFile>,
    /// What it says.
    pub pipeline: Pipeline,
    /// The SQL models, by name.
    pub models: Vec<Model>,
    /// SHA-256 of the pipeline file and all models, in hexadecimal.
    pub digest: String,
    /// The parts of the pipeline file that were left out because they are wrong; none in a project that is to run.
    pub lost: Lost,
    /// The other pipelines of the project, which use the same models.
    pub siblings: Vec<Sibling>,
}

/// Another pipeline file of the project.
#[derive(Debug)]
pub struct Sibling {
    /// Its name, and where it stands in its file.
    pub name: (String, Span),
    /// What it says; none if it cannot be read.
    pub pipeline: Option<Pipeline>,
}

impl Project {
    /// Where a file of it is from its folder, with `/` between the names.
    pub fn path_of(&self, file: &SourceFile) -> String {
        let path = Path::new(&file.path);
        let root = self.root.strip_prefix("./").unwrap_or(&self.root);
        let below = path.strip_prefix(root).unwrap_or(path);
        let names = below.components().filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_string_lossy()),
            _ => None,
        });
        names.collect::<Vec<_>>().join("/")
    }

    /// SHA-256 of the pipeline file and some of the models, in hexadecimal.
    pub fn digest_of(&self, is_needed: impl Fn(&Model) -> bool) -> String {
        digest(&self.file, self.models.iter().filter(|model| is_needed(model)))
    }
}

/// A SQL model: one file, one table.
#[derive(Debug, Clone)]
pub struct Model {
    /// The folder it is in, which is its schema; none for a file directly in `sql/`.
    pub schema: Option<String>,
    /// The file's name without `.sql`, which is its table.
    pub table: String,
    /// Its text.
    pub file: Arc<SourceFile>,
}

impl Model {
    /// The name that SQL reads it by: `features.orders`, or `customers` for a file directly in `sql/`.
    pub fn name(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{schema}.{}", self.table),
            None => self.table.clone(),
        }
    }
}

/// Reads the project that a pipeline file belongs to.
///
/// # Errors
/// [`Error::Project`] when a file cannot be read or is not what it should be.
pub fn load(pipeline: &Path, environment: &Environment) -> Result<Project> {
    match read(pipeline, environment)? {
        Read { project: Some(project), problems, .. } if problems.is_empty() => Ok(project),
        Read { project, mut problems, is_file_right } => {
            if let Some(project) = project.filter(|_| !is_file_right) {
                problems.extend(syntax_of(&project.models));
            }
            Err(Error::Project(in_order(problems)))
        }
    }
}

/// What could be read of a project.
#[derive(Debug)]
pub struct Read {
    /// The project, without what is wrong in its pipeline file; none when nothing is left of that.
    pub project: Option<Project>,
    /// Everything that is wrong.
    pub problems: Vec<Diagnostic>,
    /// Whether the pipeline file has the shape that it must have.
    pub is_file_right: bool,
}

/// Reads a project without the wrong parts of its pipeline file, so that everything else can still be validated.
///
/// # Errors
/// [`Error::Project`] when the pipeline file or a folder cannot be read.
pub fn read(path: &Path, environment: &Environment) -> Result<Read> {
    let root = root_of(path);
    let file = Arc::new(SourceFile { path: shown(path), text: read_text(path).map_err(|error| unreadable_pipeline(path, error))? });
    let mut problems = Vec::new();
    let parsed = read_pipeline(&file, environment);
    let is_file_right = parsed.problems.is_empty();
    problems.extend(parsed.problems);
    let models = read_models(&root, &mut problems)?;
    let Some(pipeline) = parsed.value else {
        // Without the pipeline file the models' sources are unknown, but the syntax of the SQL can be checked.
        problems.extend(syntax_of(&models));
        return Ok(Read { project: None, problems, is_file_right });
    };
    if models.is_empty() && problems.is_empty() {
        let folder = shown(&root.join("sql"));
        problems.push(
            Diagnostic::error("no-models", format!("there are no SQL models in {folder}"))
                .hint("a project keeps its models in `sql/` beside `pipelines/`; `segmill init DIR` makes one that runs"),
        );
        return Ok(Read { project: None, problems, is_file_right });
    }
    refuse_too_much(&file, &models)?;
    let digest = digest(&file, &models);
    let lost = Lost(parsed.lost);
    let siblings = siblings(path, environment);
    Ok(Read { project: Some(Project { root, file, pipeline, models, digest, lost, siblings }), problems, is_file_right })
}

fn refuse_too_much(file: &SourceFile, models: &[Model]) -> Result<()> {
    let bytes = models.iter().fold(file.text.len(), |bytes, model| bytes + model.file.text.len());
    if bytes <= MAX_PROJECT_BYTES {
        return Ok(());
    }
    let limit = MAX_PROJECT_BYTES / 1024 / 1024;
    Err(Error::argument("project-too-large", format!("the files of the project come to more than {limit} MiB of text")))
}

/// The files of a project, each with its path and its text.
pub type Texts<'a> = [(&'a str, &'a str)];

/// What stands for variables where a text does not fit: a number, and a truth value.
const STAND_INS: [&str; 2] = ["10", "true"];

/// Puts a project together from the texts of its files, the pipeline file first, as it was when they were kept: other pipelines beside it
/// are not known.
///
/// # Errors
/// [`Error::Project`] when they are not what a project's files should be.
pub fn of_texts(root: &Path, files: &Texts<'_>, environment: &Environment) -> Result<Project> {
    let (file, models) = parted(files)?;
    let parsed = read_pipeline(&file, environment);
    if parsed.value.is_some() && !parsed.problems.is_empty() {
        return Err(Error::Project(parsed.problems));
    }
    put_together(root, file, models, parsed)
}

/// The same with the variables as the pipeline file has them, so that it is the same wherever it is read. Where a number or a truth value must
/// stand, a variable has a stand-in; a part that no stand-in fits is left out, and is among those that are lost.
///
/// # Errors
/// [`Error::Project`] when the pipeline file cannot be read at all.
pub fn of_texts_as_written(files: &Texts<'_>) -> Result<Project> {
    let (file, models) = parted(files)?;
    let has_default = |rest: &str| rest.starts_with(":-") || rest.starts_with('-');
    let named = named_variables(&file.text).filter(|(_, rest)| !has_default(rest));
    let mut environment: Environment = named.map(|(name, _)| (name.to_owned(), format!("${{{name}}}"))).collect();
    let mut parsed = read_pipeline(&file, &environment);
    for stand_in in STAND_INS {
        let spans = parsed.problems.iter().filter_map(|problem| problem.span.as_ref());
        let unfit: Vec<&str> = spans.flat_map(|span| variables::variables(&file.text[span.bytes.clone()])).collect();
        if unfit.is_empty() {
            break;
        }
        environment.extend(unfit.into_iter().map(|name| (name.to_owned(), stand_in.to_owned())));
        parsed = read_pipeline(&file, &environment);
    }
    put_together(Path::new(""), file, models, parsed)
}

/// The pipeline file among the texts of a project, and the models.
fn parted<'a>(files: &'a Texts<'a>) -> Result<(Arc<SourceFile>, &'a Texts<'a>)> {
    let Some(((path, text), models)) = files.split_first() else { return Err(Error::argument("no-models", "a project without files")) };
    Ok((Arc::new(SourceFile { path: (*path).to_owned(), text: (*text).to_owned() }), models))
}

fn put_together(root: &Path, file: Arc<SourceFile>, models: &Texts<'_>, parsed: Parsed<Pipeline>) -> Result<Project> {
    let Parsed { value: Some(pipeline), lost, .. } = parsed else {
        return Err(Error::argument("unreadable-file", format!("cannot read {}", file.path)));
    };
    let model = |(path, text): &(&str, &str)| {
        let (path, folder) = (Path::new(path), Path::new(path).parent());
        let schema = folder.filter(|folder| *folder != Path::new("sql")).map(name_of);
        let file = Arc::new(SourceFile { path: shown(path), text: (*text).to_owned() });
        Model { schema, table: name_of(path), file }
    };
    let models: Vec<Model> = models.iter().map(model).collect();
    let digest = digest(&file, &models);
    Ok(Project { root: root.to_owned(), file, pipeline, models, digest, lost: Lost(lost), siblings: Vec::new() })
}

/// The other pipelines whose files lie beside one in a folder `pipelines`.
fn siblings(path: &Path, environment: &Environment) -> Vec<Sibling> {
    let Some(folder) = path.parent().filter(|folder| folder.ends_with("pipelines")) else { return Vec::new() };
    let own = std::fs::canonicalize(path).ok();
    let is_other = |other: &Path| other.file_name() != path.file_name() && std::fs::canonicalize(other).ok() != own;
    let others = pipeline_files(folder).into_iter().filter(|(other, _)| is_other(other));
    let read = |(_, (typed, span)): (PathBuf, (String, Span))| {
        let pipeline = yaml::parse_what_is_right::<Pipeline>(&span.file, environment).value;
        let name = pipeline.as_ref().map_or(typed, |pipeline| pipeline.name.value.clone());
        Sibling { name: (name, span), pipeline }
    };
    others.map(read).collect()
}

/// The pipeline files in a folder, with the names of their pipelines as they are typed. Other YAML files may lie there too.
fn pipeline_files(folder: &Path) -> Vec<(PathBuf, (String, Span))> {
    let is_yaml = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    let named = |path: PathBuf| {
        let file = Arc::new(SourceFile { path: shown(&path), text: read_text(&path).ok()? });
        Some((path, yaml::top_level(&file, "name")?))
    };
    read_folder(folder).unwrap_or_default().into_iter().filter(is_yaml).filter_map(named).collect()
}

/// The pipeline file that is meant where none is named: this one, or the only one beside it if it is not there itself.
pub fn usual_pipeline(usual: &Path) -> PathBuf {
    if usual.exists() {
        return usual.to_owned();
    }
    match pipeline_files(usual.parent().unwrap_or(Path::new(""))).as_slice() {
        [(only, _)] => only.clone(),
        _ => usual.to_owned(),
    }
}

/// That a pipeline file cannot be read; of one that is not there, with those that lie beside it.
fn unreadable_pipeline(path: &Path, error: Error) -> Error {
    let beside = if path.exists() { Vec::new() } else { pipeline_files(path.parent().unwrap_or(Path::new(""))) };
    let beside: Vec<String> = beside.iter().map(|(other, _)| crate::shown::name(&shown(other)).into_owned()).collect();
    match error {
        Error::Project(problems) if !beside.is_empty() => {
            let hint = format!("the pipeline files there are {}", list(&beside));
            Error::Project(problems.into_iter().map(|problem| problem.hint(hint.clone())).collect())
        }
        other => other,
    }
}

fn syntax_of(models: &[Model]) -> Vec<Diagnostic> {
    let found = |model: &Model| sql::parse(&model.file).map_or_else(|problem| vec![problem], |(_, found)| found);
    models.iter().flat_map(found).collect()
}

/// The names of the parts of a pipeline file that are wrong and were left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lost(Vec<Vec<String>>);

impl Lost {
    /// Whether nothing was left out.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The parts that were left out, each by its keys, such as `report.currency`.
    pub fn parts(&self) -> Vec<String> {
        self.0.iter().map(|keys| keys.join(".")).collect()
    }

    /// Whether something under these keys, or all of it, was left out.
    pub fn touches(&self, keys: &[&str]) -> bool {
        self.0.iter().any(|lost| lost.iter().zip(keys).all(|(lost, key)| lost == key))
    }

    /// The names of the parts under these keys that were left out, in part or as a whole.
    pub fn names(&self, keys: &[&str]) -> Vec<&str> {
        let below = self.0.iter().filter(|lost| lost.len() > keys.len() && lost.iter().zip(keys).all(|(lost, key)| lost == key));
        below.map(|lost| lost[keys.len()].as_str()).collect()
    }
}

/// Reads the pipeline file. For a file of another version only that is reported, because other keys may be right there.
fn read_pipeline(file: &Arc<SourceFile>, environment: &Environment) -> Parsed<Pipeline> {
    if let Some((version, span)) = yaml::top_level(file, "version")
        && version.parse::<u32>().is_ok_and(|version| version != PIPELINE_VERSION)
    {
        let what = format!("this Segmill reads pipeline files of version {PIPELINE_VERSION}");
        let problem = Diagnostic::error("unsupported-version", what).at(span).label("another version");
        return Parsed { value: None, problems: vec![problem], lost: Vec::new() };
    }
    let mut parsed: Parsed<Pipeline> = yaml::parse_what_is_right(file, environment);
    let blank = parsed.value.as_ref().map(|pipeline| blank_variables(file, pipeline, environment));
    parsed.problems.extend(blank.unwrap_or_default());
    parsed
}

/// Variables in locations that are set to an empty text, as unset variables of a shell are. The rest of the location would then name
/// another place, in the worst case the root of the file system.
fn blank_variables(file: &Arc<SourceFile>, pipeline: &Pipeline, environment: &Environment) -> Vec<Diagnostic> {
    let is_blank = |name: &str| environment.get(name).is_some_and(|value| value.trim().is_empty());
    if !variables::variables(&file.text).any(is_blank) {
        return Vec::new();
    }
    let mut problems = Vec::new();
    let copies = pipeline.outputs.delta.as_ref().map(|delta| &delta.location);
    for place in pipeline.sources.values().map(|source| &source.location).chain([&pipeline.outputs.destination]).chain(copies) {
        let span = yaml::span_of(file, place);
        for (name, rest) in named_variables(&file.text[span.bytes.clone()]) {
            // `${NAME:-default}` has its default for one that is empty.
            let has_default = rest.starts_with(":-") && environment.get(name).is_some_and(String::is_empty);
            if is_blank(name) && !has_default {
                let problem = Diagnostic::error("blank-variable", format!("the environment variable `{name}` is empty")).at(span.clone());
                problems.push(problem.label("read from the environment here").hint("set it, or unset it where the location has a default"));
            }
        }
    }
    problems
}

/// The folder above `pipelines/`, or the file's own folder when it lies elsewhere.
fn root_of(pipeline: &Path) -> PathBuf {
    let folder = pipeline.parent().unwrap_or(Path::new(""));
    let root = if folder.ends_with("pipelines") { folder.parent().unwrap_or(Path::new("")) } else { folder };
    if root.as_os_str().is_empty() { PathBuf::from(".") } else { root.to_owned() }
}

fn read_models(root: &Path, problems: &mut Vec<Diagnostic>) -> Result<Vec<Model>> {
    let mut files = Vec::new();
    for entry in read_folder(&root.join("sql"))? {
        if entry.is_dir() {
            let schema = name_of(&entry);
            files.extend(read_folder(&entry)?.into_iter().map(|file| (Some(schema.clone()), file)));
        } else {
            files.push((None, entry));
        }
    }
    files.retain(|(_, file)| is_sql(file));
    if files.len() > MAX_MODELS {
        let what = format!("there are {} SQL models in {}, and at most {MAX_MODELS} are allowed", files.len(), shown(&root.join("sql")));
        return Err(Error::argument("too-many-models", what));
    }
    let mut models = Vec::new();
    for (schema, file) in files {
        models.extend(gather(problems, read_model(schema, &file))?);
    }
    Ok(models)
}

fn read_model(schema: Option<String>, path: &Path) -> Result<Model> {
    let file = Arc::new(SourceFile { path: shown(path), text: read_text(path)? });
    let table = name_of(path);
    if !names_a_table(&table) {
        return Err(Error::from(
            Diagnostic::error("model-name", format!("`{table}` does not name a table"))
                .at(sql::whole(&file))
                .label("the model of that name")
                .hint("use lower-case letters, digits and underscores, so that SQL needs no quotes"),
        ));
    }
    Ok(Model { schema, table, file })
}

fn is_sql(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "sql")
}

fn name_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The text files of a folder with this ending, in order of name; none when there is no such folder.
///
/// # Errors
/// [`Error::Project`] when one cannot be read.
pub fn read_files(folder: &Path, ending: &str) -> Result<Vec<Arc<SourceFile>>> {
    let files = read_folder(folder)?.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == ending));
    files.map(|path| Ok(Arc::new(SourceFile { path: shown(&path), text: read_text(&path)? }))).collect()
}

/// The entries of a folder in order of name; none when there is no such folder.
fn read_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(folder).and_then(|entries| entries.map(|entry| entry.map(|e| e.path())).collect::<Result<Vec<_>, _>>());
    let mut entries = entries.map_err(|error| unreadable(folder, &error))?;
    entries.sort();
    Ok(entries)
}

fn read_text(path: &Path) -> Result<String> {
    let Some(bytes) = storage::read_plain(path, MAX_TEXT_BYTES).map_err(|error| unreadable(path, &error))? else {
        let limit = MAX_TEXT_BYTES / 1024 / 1024;
        return Err(Error::argument("file-too-large", format!("{} is larger than {limit} MiB", shown(path))));
    };
    String::from_utf8(bytes).map_err(|_| unreadable(path, &std::io::ErrorKind::InvalidData.into()))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    if let Some(odd) = storage::why_no_file(error) {
        return Error::argument("not-a-file", format!("cannot read {}: {odd}", shown(path)));
    }
    let why = match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
        _ => storage::of_system(error),
    };
    Error::argument("unreadable-file", format!("cannot read {}: {why}", shown(path)))
}

fn shown(path: &Path) -> String {
    path.strip_prefix("./").unwrap_or(path).display().to_string()
}

fn digest<'m>(pipeline: &SourceFile, models: impl IntoIterator<Item = &'m Model>) -> String {
    let mut hash = Sha256::new();
    let mut add = |name: &str, text: &str| {
        for part in [name, text] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
    };
    add("pipeline", &pipeline.text);
    for model in models {
        add(&model.name(), &model.file.text);
    }
    format!("{:x}", hash.finalize())
}
