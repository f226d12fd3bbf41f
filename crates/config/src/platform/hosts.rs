//! The platforms that are recognised: what claims each, and what proves it.
//!
//! Names of variables are those of the platforms' own documentation. Whoever has
//! only the variables of one has a copy of an environment.

use std::fmt;

use super::{Evidence, Task};
use crate::Environ;
use crate::machine::{HOST_FILE, Mark};

/// A place that runs processes for their users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// A dyno of an app, on either generation of dynos.
    Heroku,
    /// A dyno of a review app.
    HerokuReview,
    /// A dyno of a test run of Heroku CI.
    HerokuCi,
    /// Dokku.
    Dokku,
    /// Render.
    Render,
    /// Railway.
    Railway,
    /// Fly.io.
    Fly,
    /// Scalingo.
    Scalingo,
    /// Clever Cloud.
    CleverCloud,
    /// Cloud Run, or Knative, which has the same contract.
    CloudRun,
    /// A Kubernetes cluster.
    Kubernetes,
    /// A machine that its owner has marked with a file.
    Own,
}

impl Host {
    /// Whether every request comes through a router of the platform's, which puts the
    /// address it sees behind whatever the client says in `X-Forwarded-For`.
    pub(crate) const fn has_router(self) -> bool {
        !matches!(self, Self::Kubernetes | Self::Own)
    }

    /// Whether whoever runs here is deployed. Pods are also where people develop and
    /// tests run.
    pub const fn is_for_deployment_only(self) -> bool {
        !matches!(self, Self::HerokuCi | Self::Kubernetes)
    }

    /// Whether it is a dyno of Heroku, whatever the app is for.
    pub const fn is_heroku(self) -> bool {
        matches!(self, Self::Heroku | Self::HerokuReview | Self::HerokuCi)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Heroku => "a Heroku dyno",
            Self::HerokuReview => "a dyno of a Heroku review app",
            Self::HerokuCi => "a dyno of Heroku CI",
            Self::Dokku => "Dokku",
            Self::Render => "Render",
            Self::Railway => "Railway",
            Self::Fly => "Fly.io",
            Self::Scalingo => "Scalingo",
            Self::CleverCloud => "Clever Cloud",
            Self::CloudRun => "Cloud Run",
            Self::Kubernetes => "Kubernetes",
            Self::Own => "a marked host",
        })
    }
}

/// A platform that something here points to.
pub(super) struct Claim {
    pub(super) host: Host,
    pub(super) task: Task,
    pub(super) proven: bool,
}

/// One way to recognise a platform.
struct Sign {
    host: Host,
    /// All of them must be set, or nothing is claimed.
    variables: &'static [&'static str],
    /// What must be true of the machine besides.
    proof: Proof,
}

/// What cannot be pasted.
enum Proof {
    /// The process runs in this folder or below it.
    Below(&'static str),
    /// The machine bears this mark.
    Marked(Mark),
}

/// Heroku is not here: its claims are read by form, see [`heroku`].
const SIGNS: [Sign; 9] = [
    sign(
        Host::Dokku,
        &["DOKKU_APP_NAME", "DOKKU_APP_TYPE"],
        Proof::Marked(Mark::Container),
    ),
    sign(
        Host::Render,
        &["RENDER", "RENDER_SERVICE_ID"],
        Proof::Marked(Mark::Container),
    ),
    // `railway run` gives a laptop all of them, so they must not be believed alone.
    sign(
        Host::Railway,
        &["RAILWAY_SERVICE_ID", "RAILWAY_ENVIRONMENT_ID"],
        Proof::Marked(Mark::Container),
    ),
    sign(
        Host::Fly,
        &["FLY_APP_NAME", "FLY_MACHINE_ID"],
        Proof::Marked(Mark::FlyFolder),
    ),
    sign(
        Host::Scalingo,
        &["APP", "CONTAINER", "CONTAINER_VERSION"],
        Proof::Below("/app"),
    ),
    sign(
        Host::CleverCloud,
        &["APP_ID", "INSTANCE_ID", "INSTANCE_TYPE"],
        Proof::Below("/home/bas"),
    ),
    sign(
        Host::CloudRun,
        &["K_SERVICE", "K_REVISION"],
        Proof::Marked(Mark::Container),
    ),
    sign(
        Host::CloudRun,
        &["CLOUD_RUN_JOB", "CLOUD_RUN_EXECUTION"],
        Proof::Marked(Mark::Container),
    ),
    sign(
        Host::Kubernetes,
        &["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"],
        Proof::Marked(Mark::KubernetesFolder),
    ),
];

const fn sign(host: Host, variables: &'static [&'static str], proof: Proof) -> Sign {
    Sign {
        host,
        variables,
        proof,
    }
}

/// Every platform that is claimed, each once.
pub(super) fn claims(environ: &Environ) -> Vec<Claim> {
    let mut claims: Vec<Claim> = Vec::new();
    let claimed = SIGNS.iter().filter(|sign| {
        let set = |name: &&str| environ.get(name).is_some();
        sign.variables.iter().all(set)
    });
    for Sign { host, proof, .. } in claimed {
        claims.push(Claim {
            host: *host,
            task: task(*host, environ),
            proven: match proof {
                Proof::Below(folder) => environ.machine.folder.starts_with(folder),
                Proof::Marked(mark) => environ.machine.marks.contains(mark),
            },
        });
    }
    let is = |host| move |claim: &Claim| claim.host == host;
    // Knative runs on Kubernetes, and shows both.
    if claims.iter().any(is(Host::CloudRun)) {
        claims.retain(|claim| claim.host != Host::Kubernetes);
    }
    // Pods may go without the mount, and their variables are pasted by nobody: what is
    // not proven here is no copy, it is nothing.
    claims.retain(|claim| claim.host != Host::Kubernetes || claim.proven);
    // Dokku calls its containers dynos.
    if !claims.iter().any(is(Host::Dokku)) {
        claims.extend(heroku(environ));
    }
    if environ.machine.marks.contains(&Mark::HostFile) {
        claims.push(Claim {
            host: Host::Own,
            task: Task::Unknown,
            proven: true,
        });
    }
    claims
}

/// The folders in which apps live, by the form of `DYNO`: Cedar's dynos are called
/// `web.1`, Fir's `web-12a34b56d-e78f9` (Dev Center, "Dyno Startup Behavior").
const CEDAR_FOLDER: &str = "/app";
const FIR_FOLDERS: [&str; 2] = ["/workspace", "/app"];

fn heroku(environ: &Environ) -> Option<Claim> {
    let dyno = environ.get("DYNO")?;
    let folder = &environ.machine.folder;
    let (process, proven) = if let Some(process) = cedar(dyno) {
        let home = environ.get("HOME") == Some(CEDAR_FOLDER);
        (process, home && folder.starts_with(CEDAR_FOLDER))
    } else if let Some(process) = fir(dyno) {
        let below = |root: &&str| folder.starts_with(root);
        (process, FIR_FOLDERS.iter().any(below))
    } else {
        ("", false)
    };
    let review = ["HEROKU_PARENT_APP_NAME", "HEROKU_PR_NUMBER"];
    let host = if environ.get("HEROKU_TEST_RUN_ID").is_some() {
        Host::HerokuCi
    } else if review.iter().any(|name| environ.get(name).is_some()) {
        Host::HerokuReview
    } else {
        Host::Heroku
    };
    Some(Claim {
        host,
        task: dyno_task(process),
        proven,
    })
}

/// The process of a dyno called like `web.1`.
fn cedar(dyno: &str) -> Option<&str> {
    let (process, number) = dyno.rsplit_once('.')?;
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (digits && is_process(process)).then_some(process)
}

/// The process of a dyno called like `web-12a34b56d-e78f9`.
fn fir(dyno: &str) -> Option<&str> {
    let (rest, last) = dyno.rsplit_once('-')?;
    let (process, first) = rest.rsplit_once('-')?;
    let suffix = |text: &str| {
        text.len() >= 4
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    (suffix(first) && suffix(last) && is_process(process)).then_some(process)
}

/// `[-\w]{1,128}`, as the Procfile has it.
fn is_process(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn dyno_task(process: &str) -> Task {
    match process {
        "release" => Task::Release,
        "run" | "scheduler" => Task::Run,
        "" => Task::Unknown,
        _ => Task::Serve,
    }
}

fn task(host: Host, environ: &Environ) -> Task {
    match host {
        Host::Dokku => environ
            .get("DYNO")
            .and_then(cedar)
            .map_or(Task::Unknown, dyno_task),
        Host::Fly if environ.get("RELEASE_COMMAND").is_some() => Task::Release,
        Host::Scalingo => match environ.get("CONTAINER") {
            Some(container) if container.starts_with("postdeploy") => Task::Release,
            Some(container) if container.starts_with("one-off") => Task::Run,
            _ => Task::Serve,
        },
        _ => Task::Unknown,
    }
}

/// What was looked at, of variables only those that are set.
pub(super) fn evidence(environ: &Environ) -> Vec<Evidence> {
    let say = |name, seen| Evidence { name, seen };
    let mut evidence = vec![
        say(
            "DYNO",
            match environ.get("DYNO") {
                None => "not set",
                Some(dyno) if cedar(dyno).is_some() => "set, in the form of a Cedar dyno",
                Some(dyno) if fir(dyno).is_some() => "set, in the form of a Fir dyno",
                Some(_) => "set, and not in the form of a dyno",
            },
        ),
        say(
            "HOME",
            match environ.get("HOME") {
                Some(CEDAR_FOLDER) => "/app, as on a dyno",
                Some(_) => "not a dyno's",
                None => "not set",
            },
        ),
        say(
            "working folder",
            match &environ.machine.folder {
                folder if folder.starts_with(CEDAR_FOLDER) => "below /app, as on a dyno",
                folder if folder.starts_with(FIR_FOLDERS[0]) => "below /workspace, as on a dyno",
                _ => "not a dyno's",
            },
        ),
    ];
    let others = SIGNS.iter().flat_map(|sign| sign.variables).copied();
    let heroku = [
        "HEROKU_TEST_RUN_ID",
        "HEROKU_PARENT_APP_NAME",
        "HEROKU_PR_NUMBER",
        "CI",
    ];
    let set = others
        .chain(heroku)
        .filter(|name| environ.get(name).is_some());
    evidence.extend(set.map(|name| say(name, "set")));
    evidence.extend(environ.machine.marks.iter().map(|mark| match mark {
        Mark::FlyFolder => say("/.fly", "there, as on a Fly Machine"),
        Mark::KubernetesFolder => say("service account", "mounted, as in a pod of Kubernetes"),
        Mark::Container => say("container", "this is one"),
        Mark::HostFile => say(HOST_FILE, "there, and root's alone"),
    }));
    evidence
}
