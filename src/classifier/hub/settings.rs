//! What the environment says of the hub: `huggingface_hub`'s variables, in its spellings and its order.

use std::path::PathBuf;
use std::time::Duration;

use super::expand::expand;

const ENDPOINT: &str = "https://huggingface.co";
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where the hub and its cache are, and how to speak with it.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// Without a slash at the end.
    pub endpoint: String,
    /// The folder of all repositories; none where no variable names one and there is no home.
    pub cache: Option<PathBuf>,
    /// What a login left, or a variable says.
    pub token: Option<String>,
    /// The cache alone serves.
    pub offline: bool,
    /// How long the head of an answer may take.
    pub answer_timeout: Duration,
    /// How long nothing may come of a body.
    pub read_timeout: Duration,
    /// Whether a large download draws a bar.
    pub progress: bool,
    /// Whether a snapshot links to its blobs.
    pub symlinks: bool,
    /// Who we say we are.
    pub user_agent: String,
}

impl Settings {
    /// Those of this process.
    ///
    /// # Errors
    /// A sentence that names the variable whose value makes no sense.
    pub fn from_env() -> Result<Self, String> {
        let home = std::env::home_dir().map(|home| home.to_string_lossy().into_owned());
        Self::read(&|name| std::env::var(name).ok(), home.as_deref())
    }

    /// Those that `variable` knows; `home` is what `~` means.
    ///
    /// # Errors
    /// As for [`Settings::from_env`].
    pub fn read(variable: &dyn Fn(&str) -> Option<String>, home: Option<&str>) -> Result<Self, String> {
        let is_set = |name: &str| variable(name).is_some_and(|value| is_true(&value));
        let filled = |name: &str| variable(name).filter(|value| !value.is_empty());
        let paths = Paths { variable, home };
        let mut user_agent = concat!("textflight/", env!("CARGO_PKG_VERSION")).to_owned();
        if let Some(origin) = variable("HF_HUB_USER_AGENT_ORIGIN") {
            user_agent = format!("{user_agent}; origin/{origin}");
        }
        let endpoint = filled("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
        Ok(Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            cache: paths.cache(),
            token: if is_set("HF_HUB_DISABLE_IMPLICIT_TOKEN") { None } else { paths.token() },
            offline: filled("HF_HUB_OFFLINE")
                .or_else(|| variable("TRANSFORMERS_OFFLINE"))
                .is_some_and(|value| is_true(&value)),
            answer_timeout: seconds(variable, "HF_HUB_ETAG_TIMEOUT")?,
            read_timeout: seconds(variable, "HF_HUB_DOWNLOAD_TIMEOUT")?,
            progress: !is_set("HF_HUB_DISABLE_PROGRESS_BARS"),
            symlinks: !is_set("HF_HUB_DISABLE_SYMLINKS"),
            user_agent,
        })
    }
}

fn is_true(value: &str) -> bool {
    matches!(value.to_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE")
}

/// 0 means the default, as it does in Python.
fn seconds(variable: &dyn Fn(&str) -> Option<String>, name: &str) -> Result<Duration, String> {
    let Some(text) = variable(name) else { return Ok(TIMEOUT) };
    match text.trim().parse::<u32>() {
        Ok(0) => Ok(TIMEOUT),
        Ok(seconds) => Ok(Duration::from_secs(seconds.into())),
        Err(_) => Err(format!("{name} is {text:?}; it is a number of whole seconds")),
    }
}

/// The variables that name places: an empty one counts, and names the working directory.
struct Paths<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    home: Option<&'a str>,
}

impl Paths<'_> {
    fn home_of_the_hub(&self) -> Option<PathBuf> {
        let named = (self.variable)("HF_HOME");
        let named = named.or_else(|| (self.variable)("XDG_CACHE_HOME").map(|cache| join(&cache, "huggingface")));
        self.place(&named.unwrap_or_else(|| "~/.cache/huggingface".to_owned()))
    }

    fn cache(&self) -> Option<PathBuf> {
        match (self.variable)("HF_HUB_CACHE").or_else(|| (self.variable)("HUGGINGFACE_HUB_CACHE")) {
            Some(named) => self.place(&named),
            None => Some(self.home_of_the_hub()?.join("hub")),
        }
    }

    fn token(&self) -> Option<String> {
        let filled = |name: &str| (self.variable)(name).filter(|value| !value.is_empty());
        let named = filled("HF_TOKEN").or_else(|| filled("HUGGING_FACE_HUB_TOKEN"));
        named.and_then(|token| clean(&token)).or_else(|| clean(&std::fs::read_to_string(self.token_file()?).ok()?))
    }

    /// Where a login leaves its token.
    fn token_file(&self) -> Option<PathBuf> {
        match (self.variable)("HF_TOKEN_PATH") {
            Some(named) => self.place(&named),
            None => Some(self.home_of_the_hub()?.join("token")),
        }
    }

    /// Without a home, `~` is nowhere.
    fn place(&self, path: &str) -> Option<PathBuf> {
        let expanded = expand(path, self.variable, self.home);
        let nowhere = self.home.is_none() && (path == "~" || path.starts_with("~/"));
        (!nowhere).then(|| expanded.into())
    }
}

fn join(folder: &str, name: &str) -> String {
    PathBuf::from(folder).join(name).to_string_lossy().into_owned()
}

fn clean(token: &str) -> Option<String> {
    let token = token.replace(['\r', '\n'], "").trim().to_owned();
    Some(token).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    /// A row of the table that `tests/python/test_hub.py` holds against `huggingface_hub` itself.
    #[derive(Deserialize)]
    struct Row {
        env: BTreeMap<String, String>,
        /// What the file of each path holds.
        #[serde(default)]
        files: BTreeMap<String, String>,
        cache: String,
        token: Option<String>,
        endpoint: String,
        offline: bool,
        answer_timeout: u64,
        read_timeout: u64,
        symlinks: bool,
        progress: bool,
    }

    #[test]
    fn as_huggingface_hub_has_them() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/hub_environments.json");
        let rows: Vec<Row> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert!(rows.len() >= 40);
        for row in rows {
            let root = tempfile::tempdir().unwrap();
            let there = |text: &str| text.replace("ROOT", root.path().to_str().unwrap());
            for (path, text) in &row.files {
                let path = PathBuf::from(there(path));
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            let read = Settings::read(&|name| row.env.get(name).map(|value| there(value)), Some(&there("ROOT/me")));
            let settings = read.unwrap();
            assert_eq!(settings.cache, Some(there(&row.cache).into()), "{:?}", row.env);
            assert_eq!(settings.token, row.token, "{:?}", row.env);
            assert_eq!(settings.endpoint, row.endpoint, "{:?}", row.env);
            assert_eq!(settings.offline, row.offline, "{:?}", row.env);
            assert_eq!(settings.answer_timeout.as_secs(), row.answer_timeout, "{:?}", row.env);
            assert_eq!(settings.read_timeout.as_secs(), row.read_timeout, "{:?}", row.env);
            assert_eq!((settings.symlinks, settings.progress), (row.symlinks, row.progress), "{:?}", row.env);
        }
    }

    #[test]
    fn without_a_home_only_named_places_are_places() {
        let with = |variables: &[(&str, &str)]| {
            let variables: BTreeMap<_, _> = variables.iter().copied().collect();
            Settings::read(&|name| variables.get(name).map(ToString::to_string), None).unwrap()
        };
        assert_eq!(with(&[]).cache, None);
        assert_eq!(with(&[]).token, None);
        assert_eq!(with(&[("HF_HOME", "~/x")]).cache, None);
        assert_eq!(with(&[("HF_HOME", "/x")]).cache, Some("/x/hub".into()));
        assert_eq!(with(&[("HF_HUB_CACHE", "/y")]).cache, Some("/y".into()));
        assert_eq!(with(&[("XDG_CACHE_HOME", "/z")]).cache, Some("/z/huggingface/hub".into()));
    }

    #[test]
    fn a_time_that_is_none() {
        for name in ["HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"] {
            let read = Settings::read(&|asked| (asked == name).then(|| "soon".to_owned()), None);
            assert!(read.err().unwrap().contains(&format!("{name} is \"soon\"")));
        }
    }

    #[test]
    fn says_who_we_are() {
        let read = Settings::read(&|name| (name == "HF_HUB_USER_AGENT_ORIGIN").then(|| "us".to_owned()), None);
        let agent = read.unwrap().user_agent;
        assert!(agent.starts_with("textflight/") && agent.ends_with("; origin/us"), "{agent}");
    }
}
