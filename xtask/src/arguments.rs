//! From the words on the command line to what is asked for.
//!
//! Nothing is guessed: an unknown word is an error with a suggestion, never ignored.

use std::path::PathBuf;
use std::slice;

use crate::postgres::Pick;
use crate::usage::nearest;

/// The sub-commands, for suggestions.
const COMMANDS: [&str; 8] = [
    "dev", "test", "bench", "soak", "ci", "layers", "tidy", "help",
];
/// The flags of `dev`, for suggestions.
const DEV_FLAGS: [&str; 5] = [
    "--port",
    "--reset",
    "--release",
    "--ready-file",
    "--verbose",
];
/// The flags of `test`, for suggestions.
const TEST_FLAGS: [&str; 1] = ["--postgres"];
/// Where `dev` listens unless told otherwise.
const PORT_DEFAULT: u16 = 8080;

/// What somebody asked xtask to do.
#[derive(Debug, PartialEq)]
pub(crate) enum Request {
    /// Print the usage page.
    Help,
    /// Run Slipway here.
    Dev(DevOptions),
    /// Run the tests, all or those that match.
    Test(TestOptions),
    /// Measure, everything or one thing.
    Bench {
        /// What to measure.
        name: Option<String>,
        /// What the names of its cases are to contain.
        case: Option<String>,
    },
    /// Run the fault campaigns, all or one.
    Soak {
        /// A campaign's name.
        campaign: Option<String>,
    },
    /// Run every check.
    Ci,
    /// Check the arrows between crates.
    Layers,
    /// Check the house rules.
    Tidy,
}

/// How `dev` should run.
#[derive(Debug, PartialEq)]
pub(crate) struct DevOptions {
    /// First port to try.
    pub(crate) port: u16,
    /// Start with an empty database.
    pub(crate) reset: bool,
    /// Build with optimisation.
    pub(crate) release: bool,
    /// Where to write the address once pages are served.
    pub(crate) ready_file: Option<PathBuf>,
    /// Show the commands that are run.
    pub(crate) verbose: bool,
}

/// Which tests to run, and on what.
#[derive(Debug, PartialEq)]
pub(crate) struct TestOptions {
    /// The server to run them on.
    pub(crate) postgres: Pick,
    /// Part of a test's name.
    pub(crate) filter: Option<String>,
}

/// Reads the command line; the error is a sentence for the person who typed it.
pub(crate) fn parse(words: &[String]) -> Result<Request, String> {
    let Some((command, rest)) = words.split_first() else {
        return Ok(Request::Help);
    };
    if words.iter().any(|word| word == "--help" || word == "-h") {
        return Ok(Request::Help);
    }
    match command.as_str() {
        "help" => Ok(Request::Help),
        "dev" => dev(rest).map(Request::Dev),
        "test" => test(rest).map(Request::Test),
        "bench" => bench(rest),
        "soak" => named("soak", rest).map(|campaign| Request::Soak { campaign }),
        "ci" => alone(rest, Request::Ci),
        "layers" => alone(rest, Request::Layers),
        "tidy" => alone(rest, Request::Tidy),
        other => Err(unknown("command", other, &COMMANDS)),
    }
}

fn dev(words: &[String]) -> Result<DevOptions, String> {
    let mut options = DevOptions {
        port: PORT_DEFAULT,
        reset: false,
        release: false,
        ready_file: None,
        verbose: false,
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (flag, joined) = split(word);
        match flag {
            "--port" => options.port = port(&value(flag, joined, &mut words)?)?,
            "--ready-file" => {
                options.ready_file = Some(PathBuf::from(value(flag, joined, &mut words)?));
            }
            _ if joined.is_some() => return Err(unknown("flag", word, &DEV_FLAGS)),
            "--reset" => options.reset = true,
            "--release" => options.release = true,
            "--verbose" => options.verbose = true,
            other => return Err(unknown("flag", other, &DEV_FLAGS)),
        }
    }
    Ok(options)
}

/// `--flag=value` in its two parts.
fn split(word: &str) -> (&str, Option<&str>) {
    match word.split_once('=') {
        Some((flag, value)) => (flag, Some(value)),
        None => (word, None),
    }
}

fn value(
    flag: &str,
    joined: Option<&str>,
    words: &mut slice::Iter<'_, String>,
) -> Result<String, String> {
    joined
        .map(str::to_owned)
        .or_else(|| words.next().cloned())
        .filter(|value| !value.is_empty() && !value.starts_with("--"))
        .ok_or_else(|| format!("{flag} needs a value"))
}

fn port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!(
            "--port {text} is not a port, give a number from 1 to 65535"
        )),
        Ok(port) => Ok(port),
    }
}

fn test(words: &[String]) -> Result<TestOptions, String> {
    let mut options = TestOptions {
        postgres: Pick::Found,
        filter: None,
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (flag, joined) = split(word);
        match flag {
            "--postgres" => options.postgres = pick(&value(flag, joined, &mut words)?)?,
            _ if word.starts_with('-') => return Err(unknown("flag", word, &TEST_FLAGS)),
            _ if options.filter.is_some() => {
                return Err(format!("`test` takes one filter, `{word}` is one too many"));
            }
            _ => options.filter = Some(word.clone()),
        }
    }
    Ok(options)
}

fn pick(text: &str) -> Result<Pick, String> {
    match text {
        "found" => Ok(Pick::Found),
        "package" => Ok(Pick::Package),
        other => Err(format!(
            "--postgres takes `found` or `package`, not `{other}`"
        )),
    }
}

/// At most one name. Which names there are is known to the program that has the things.
fn named(command: &str, words: &[String]) -> Result<Option<String>, String> {
    match words {
        [flag, ..] if flag.starts_with('-') => Err(unknown("flag", flag, &[])),
        [_, second, ..] => Err(format!(
            "`{command}` takes one name, `{second}` is one too many"
        )),
        _ => Ok(words.first().cloned()),
    }
}

/// A name, and words of the cases that are meant.
fn bench(words: &[String]) -> Result<Request, String> {
    let (name, case) = words.split_at(words.len().min(1));
    let case = named("bench NAME", case)?;
    let name = named("bench", name)?;
    Ok(Request::Bench { name, case })
}

fn alone(rest: &[String], request: Request) -> Result<Request, String> {
    match rest.first() {
        None => Ok(request),
        Some(word) => Err(format!(
            "`{word}` is one word too many, the command takes none"
        )),
    }
}

fn unknown(kind: &str, word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(near) => format!("unknown {kind} `{word}`, did you mean `{near}`?"),
        None => format!("unknown {kind} `{word}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::{DevOptions, Request, TestOptions, parse};
    use crate::postgres::Pick;

    fn parsed(line: &str) -> Result<Request, String> {
        parse(
            &line
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn nothing_asked_for_shows_the_page() {
        for line in ["", "help", "--help", "dev --help", "test -h"] {
            assert_eq!(parsed(line), Ok(Request::Help), "{line}");
        }
    }

    #[test]
    fn dev_takes_its_flags_in_any_order_and_both_spellings() {
        let expected = Request::Dev(DevOptions {
            port: 9000,
            reset: true,
            release: false,
            ready_file: Some("ready.json".into()),
            verbose: true,
        });
        assert_eq!(
            parsed("dev --verbose --port 9000 --reset --ready-file=ready.json").as_ref(),
            Ok(&expected)
        );
        assert_eq!(
            parsed("dev --ready-file ready.json --reset --port=9000 --verbose").as_ref(),
            Ok(&expected)
        );
    }

    #[test]
    fn a_wrong_word_is_named_with_the_nearest_right_one() {
        assert_eq!(
            parsed("tst"),
            Err("unknown command `tst`, did you mean `test`?".to_owned())
        );
        assert_eq!(
            parsed("dev --relaese"),
            Err("unknown flag `--relaese`, did you mean `--release`?".to_owned())
        );
        assert_eq!(parsed("dance"), Err("unknown command `dance`".to_owned()));
        assert!(parsed("dev --reset=yes").is_err());
    }

    #[test]
    fn a_value_must_be_there_and_make_sense() {
        assert_eq!(parsed("dev --port"), Err("--port needs a value".to_owned()));
        assert_eq!(
            parsed("dev --port --reset"),
            Err("--port needs a value".to_owned())
        );
        for port in ["0", "65536", "http", "-1"] {
            assert!(parsed(&format!("dev --port {port}")).is_err(), "{port}");
        }
    }

    #[test]
    fn test_takes_a_server_and_one_filter_at_most() {
        let test = |postgres, filter: Option<&str>| {
            let filter = filter.map(str::to_owned);
            Ok(Request::Test(TestOptions { postgres, filter }))
        };
        assert_eq!(parsed("test"), test(Pick::Found, None));
        assert_eq!(parsed("test chunk"), test(Pick::Found, Some("chunk")));
        assert_eq!(parsed("test --postgres found"), test(Pick::Found, None));
        for line in ["--postgres package chunk", "chunk --postgres=package"] {
            let expected = test(Pick::Package, Some("chunk"));
            assert_eq!(parsed(&format!("test {line}")), expected, "{line}");
        }
        assert!(parsed("test one two").is_err());
        assert!(parsed("test --nocapture").is_err());
        assert!(parsed("ci now").is_err());
    }

    #[test]
    fn a_server_is_found_or_packaged() {
        assert_eq!(
            parsed("test --postgres 18"),
            Err("--postgres takes `found` or `package`, not `18`".to_owned())
        );
        assert_eq!(
            parsed("test --postgers package"),
            Err("unknown flag `--postgers`, did you mean `--postgres`?".to_owned())
        );
        assert!(parsed("test --postgres").is_err());
    }

    #[test]
    fn bench_takes_a_name_and_a_case_and_soak_a_name() {
        let bench = |name: Option<&str>, case: Option<&str>| {
            Ok(Request::Bench {
                name: name.map(str::to_owned),
                case: case.map(str::to_owned),
            })
        };
        assert_eq!(parsed("bench"), bench(None, None));
        assert_eq!(parsed("bench uploads"), bench(Some("uploads"), None));
        assert_eq!(
            parsed("bench uploads PATCH"),
            bench(Some("uploads"), Some("PATCH"))
        );
        assert!(parsed("bench uploads PATCH disk").is_err());
        assert!(parsed("bench --long").is_err());
        assert_eq!(parsed("soak"), Ok(Request::Soak { campaign: None }));
        assert_eq!(
            parsed("soak kills"),
            Ok(Request::Soak {
                campaign: Some("kills".to_owned())
            })
        );
        assert!(parsed("soak kills freezes").is_err());
        assert!(parsed("soak --long").is_err());
    }
}
