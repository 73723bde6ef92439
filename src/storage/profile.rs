//! Credentials from a named profile of the files that AWS tools share: `~/.aws/credentials` and `~/.aws/config`.

use std::path::PathBuf;

use configparser::ini::Ini;

use crate::config::Environment;
use crate::diagnostic::Diagnostic;
use crate::error::Result;

/// What a profile may hold that Segmill reads, and what it is called among the options of the store.
const KEYS: [(&str, &str); 5] = [
    ("aws_access_key_id", "aws_access_key_id"),
    ("aws_secret_access_key", "aws_secret_access_key"),
    ("aws_session_token", "aws_session_token"),
    ("region", "aws_region"),
    ("endpoint_url", "aws_endpoint_url"),
];

/// The largest file of profiles that is read.
const MAX_BYTES: u64 = 1024 * 1024;

/// The options that the profile in `AWS_PROFILE` gives; none when no profile is named.
///
/// # Errors
/// [`crate::error::Error::Project`] when there is no such profile, or it has no keys of its own.
pub fn options(environment: &Environment) -> Result<Vec<(String, String)>> {
    let Some(profile) = environment.get("AWS_PROFILE").filter(|profile| !profile.is_empty()) else { return Ok(Vec::new()) };
    let file = |variable: &str, name: &str| {
        let home = environment.get("HOME").map_or_else(PathBuf::new, PathBuf::from);
        environment.get(variable).map_or_else(|| home.join(".aws").join(name), PathBuf::from)
    };
    let read = |path: PathBuf, section: &str| {
        let mut ini = Ini::new_cs();
        // A missing file counts as empty. If a file cannot be parsed, the profile is reported as not found.
        let text = super::read_plain(&path, MAX_BYTES).ok().flatten().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        let parsed = ini.read(text).ok()?;
        parsed.get(section).cloned()
    };
    let credentials = read(file("AWS_SHARED_CREDENTIALS_FILE", "credentials"), profile);
    let named = if profile == "default" { profile.clone() } else { format!("profile {profile}") };
    let config = read(file("AWS_CONFIG_FILE", "config"), &named);
    if credentials.is_none() && config.is_none() {
        let problem = Diagnostic::error("no-such-profile", "the variable `AWS_PROFILE` names a profile that is not found");
        return Err(problem.hint("look into ~/.aws/credentials and ~/.aws/config, or unset AWS_PROFILE").into());
    }
    let value = |key: &str| [&credentials, &config].into_iter().flatten().find_map(|section| section.get(key).cloned().flatten());
    let options: Vec<(String, String)> = KEYS.iter().filter_map(|(key, option)| Some(((*option).to_owned(), value(key)?))).collect();
    let has_keys = options.iter().any(|(name, _)| name == "aws_access_key_id");
    if !has_keys && !environment.contains_key("AWS_ACCESS_KEY_ID") {
        let problem = Diagnostic::error("profile-without-keys", "the AWS profile that `AWS_PROFILE` names holds no access key");
        let hint =
            "where it logs in by other means, hand its keys over: `aws configure export-credentials --profile $AWS_PROFILE --format env`";
        return Err(problem.hint(hint).into());
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_gives_keys_region_and_endpoint() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(".aws").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("credentials", "[other]\naws_access_key_id = X\n[shop]\naws_access_key_id = AK\naws_secret_access_key = a/b+C=\n");
        write("config", "[profile shop]\nregion = eu-west-1\ns3 =\n  addressing_style = path\n[profile sso]\nsso_session = x\n");
        let home = folder.path().to_str().unwrap().to_owned();
        let with = |profile: &str| options(&Environment::from([("HOME".into(), home.clone()), ("AWS_PROFILE".into(), profile.into())]));
        let options = with("shop").unwrap();
        let expected = [("aws_access_key_id", "AK"), ("aws_secret_access_key", "a/b+C="), ("aws_region", "eu-west-1")];
        assert_eq!(options, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        assert!(with("shpo").unwrap_err().to_string().contains("not found"));
        assert!(with("sso").unwrap_err().to_string().contains("holds no access key"));
        assert!(super::options(&Environment::new()).unwrap().is_empty());
    }
}
