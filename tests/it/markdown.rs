use std::ops::Range;
use std::path::PathBuf;

use regex::Regex;

use crate::support::package;
use crate::tidy::read;

/// A document of the project.
pub struct Document {
    /// Its path below the package.
    pub name: String,
    pub text: String,
}

/// A block of code.
pub struct Block {
    /// The word after the fence.
    pub language: String,
    pub text: String,
    /// The paragraph right before the block, on one line.
    pub before: String,
    /// Where the text stands in the document.
    pub range: Range<usize>,
}

/// Every document that somebody reads.
pub fn documents() -> Vec<Document> {
    let mut paths: Vec<PathBuf> = vec![];
    for folder in ["", "docs", "docs/guides", "docs/reference"] {
        let entries = std::fs::read_dir(package().join(folder)).unwrap();
        paths.extend(entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|it| it == "md")));
    }
    paths.sort();
    paths.iter().map(|path| document(path.strip_prefix(package()).unwrap().to_str().unwrap())).collect()
}

/// A document by its path below the package.
pub fn document(name: &str) -> Document {
    Document { name: name.to_owned(), text: read(&package().join(name)) }
}

impl Document {
    /// Its blocks of code, in order.
    pub fn blocks(&self) -> Vec<Block> {
        let (mut blocks, mut paragraph, mut open) = (Vec::new(), String::new(), None::<(String, String, usize)>);
        let mut at = 0;
        for line in self.text.split_inclusive('\n') {
            let start = at;
            at += line.len();
            match (line.trim_start().strip_prefix("```"), &open) {
                (Some(_), Some((language, before, from))) => {
                    let range = *from..start;
                    let text = self.text[range.clone()].to_owned();
                    blocks.push(Block { language: language.clone(), text, before: before.clone(), range });
                    open = None;
                }
                (Some(language), None) => open = Some((language.trim().to_owned(), std::mem::take(&mut paragraph), at)),
                (None, None) if line.trim().is_empty() && !paragraph.ends_with('\n') => paragraph.push('\n'),
                (None, None) => {
                    if paragraph.ends_with('\n') {
                        paragraph.clear();
                    }
                    if !paragraph.is_empty() {
                        paragraph.push(' ');
                    }
                    paragraph.push_str(line.trim());
                }
                (None, Some(_)) => {}
            }
        }
        assert!(open.is_none(), "{}: a block of code does not end", self.name);
        for block in &mut blocks {
            block.before.truncate(block.before.trim_end().len());
        }
        blocks
    }

    /// Its text without blocks of code.
    pub fn prose(&self) -> String {
        let mut prose = String::new();
        let mut from = 0;
        for block in self.blocks() {
            prose += &self.text[from..block.range.start];
            from = block.range.end;
        }
        prose + &self.text[from..]
    }

    /// The code that stands in its sentences.
    pub fn spans(&self) -> Vec<String> {
        let span = Regex::new("`([^`\n]+)`").unwrap();
        span.captures_iter(&self.prose().replace("```", "\n")).map(|found| found[1].to_owned()).collect()
    }

    /// The targets of its links.
    pub fn links(&self) -> Vec<String> {
        let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
        link.captures_iter(&self.prose()).map(|found| found[1].to_owned()).collect()
    }

    /// The anchors of its headings, as GitHub makes them.
    pub fn anchors(&self) -> Vec<String> {
        let prose = self.prose();
        let headings = prose.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
        headings
            .map(|heading| {
                let kept =
                    heading.to_lowercase().chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c)).collect::<String>();
                kept.replace(' ', "-")
            })
            .collect()
    }
}
