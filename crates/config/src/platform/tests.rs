//! Each platform as its own documentation shows it, and each as a copy of it.

use super::*;
use crate::machine::{Machine, Mark};

/// An environment in a folder, on a machine with these marks.
fn found(variables: &[(&str, &str)], folder: &str, marks: &[Mark]) -> Platform {
    let mut environ: Environ = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    environ.machine = Machine {
        folder: folder.into(),
        marks: marks.iter().copied().collect(),
    };
    Sighting::of(&environ).platform
}

#[test]
fn a_dyno_is_one_by_its_name_its_home_and_its_folder() {
    let cedar = |dyno| found(&[("DYNO", dyno), ("HOME", "/app")], "/app", &[]);
    assert_eq!(cedar("web.1"), Platform::Host(Host::Heroku, Task::Serve));
    assert_eq!(
        cedar("release.4711"),
        Platform::Host(Host::Heroku, Task::Release)
    );
    assert_eq!(cedar("run.9157"), Platform::Host(Host::Heroku, Task::Run));
    assert_eq!(
        cedar("scheduler.12"),
        Platform::Host(Host::Heroku, Task::Run)
    );

    let fir = |dyno| found(&[("DYNO", dyno)], "/workspace", &[]);
    assert_eq!(
        fir("web-12a34b56d-e78f9"),
        Platform::Host(Host::Heroku, Task::Serve)
    );
    assert_eq!(
        fir("release-12a34b56d-e78f9"),
        Platform::Host(Host::Heroku, Task::Release)
    );
}

#[test]
fn the_name_alone_or_with_half_of_the_proof_was_copied() {
    let copied = Platform::Copied(Host::Heroku);
    for (variables, folder) in [
        (&[("DYNO", "web.1")][..], "/srv/dev"),
        (&[("DYNO", "web.1"), ("HOME", "/app")], "/srv/dev"),
        (&[("DYNO", "web.1"), ("HOME", "/srv/dev")], "/app"),
        (&[("DYNO", "web"), ("HOME", "/app")], "/app"),
        (&[("DYNO", "web.one"), ("HOME", "/app")], "/app"),
        (&[("DYNO", ".1"), ("HOME", "/app")], "/app"),
        (&[("DYNO", "web-12a34b56d-e78f9")], "/srv/dev"),
        (&[("DYNO", "web.1"), ("HOME", "/app")], "/apples"),
    ] {
        assert_eq!(found(variables, folder, &[]), copied, "{variables:?}");
    }
}

#[test]
fn review_apps_and_heroku_ci_are_told_apart() {
    let dyno = [("DYNO", "web.1"), ("HOME", "/app")];
    for (name, host) in [
        ("HEROKU_PARENT_APP_NAME", Host::HerokuReview),
        ("HEROKU_PR_NUMBER", Host::HerokuReview),
        ("HEROKU_TEST_RUN_ID", Host::HerokuCi),
    ] {
        let variables = [dyno[0], dyno[1], (name, "7")];
        assert_eq!(
            found(&variables, "/app", &[]),
            Platform::Host(host, Task::Serve)
        );
    }
}

/// Variables, working folder, marks of the machine, and what they amount to.
type Case = (
    &'static [(&'static str, &'static str)],
    &'static str,
    &'static [Mark],
    Platform,
);

const CASES: [Case; 11] = [
    (
        &[
            ("DOKKU_APP_NAME", "a"),
            ("DOKKU_APP_TYPE", "dockerfile"),
            ("DYNO", "web.1"),
        ],
        "/app",
        &[Mark::Container],
        Platform::Host(Host::Dokku, Task::Serve),
    ),
    (
        &[("RENDER", "true"), ("RENDER_SERVICE_ID", "srv-1")],
        "/srv",
        &[Mark::Container],
        Platform::Host(Host::Render, Task::Unknown),
    ),
    (
        &[("RAILWAY_SERVICE_ID", "1"), ("RAILWAY_ENVIRONMENT_ID", "2")],
        "/srv",
        &[Mark::Container],
        Platform::Host(Host::Railway, Task::Unknown),
    ),
    (
        &[("FLY_APP_NAME", "a"), ("FLY_MACHINE_ID", "1")],
        "/",
        &[Mark::FlyFolder],
        Platform::Host(Host::Fly, Task::Unknown),
    ),
    (
        &[
            ("FLY_APP_NAME", "a"),
            ("FLY_MACHINE_ID", "1"),
            ("RELEASE_COMMAND", "1"),
        ],
        "/",
        &[Mark::FlyFolder, Mark::Container],
        Platform::Host(Host::Fly, Task::Release),
    ),
    (
        &[
            ("APP", "a"),
            ("CONTAINER", "one-off-12"),
            ("CONTAINER_VERSION", "1"),
        ],
        "/app",
        &[],
        Platform::Host(Host::Scalingo, Task::Run),
    ),
    (
        &[
            ("APP_ID", "a"),
            ("INSTANCE_ID", "1"),
            ("INSTANCE_TYPE", "production"),
        ],
        "/home/bas",
        &[],
        Platform::Host(Host::CleverCloud, Task::Unknown),
    ),
    (
        &[("K_SERVICE", "a"), ("K_REVISION", "a-1"), ("PORT", "8080")],
        "/",
        &[Mark::Container],
        Platform::Host(Host::CloudRun, Task::Unknown),
    ),
    (
        &[("CLOUD_RUN_JOB", "a"), ("CLOUD_RUN_EXECUTION", "a-1")],
        "/",
        &[Mark::Container],
        Platform::Host(Host::CloudRun, Task::Unknown),
    ),
    (
        &[
            ("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
            ("KUBERNETES_SERVICE_PORT", "443"),
        ],
        "/",
        &[Mark::Container, Mark::KubernetesFolder],
        Platform::Host(Host::Kubernetes, Task::Unknown),
    ),
    (
        &[],
        "/srv",
        &[Mark::HostFile],
        Platform::Host(Host::Own, Task::Unknown),
    ),
];

#[test]
fn every_other_platform_is_believed_with_its_proof_and_copied_without() {
    for (variables, folder, marks, expected) in CASES {
        assert_eq!(found(variables, folder, marks), expected, "{variables:?}");
        if let (Platform::Host(host, _), false) = (expected, variables.is_empty()) {
            let copied = match host {
                Host::Kubernetes => Platform::None,
                host => Platform::Copied(host),
            };
            let elsewhere = found(variables, "/srv/dev", &[]);
            assert_eq!(elsewhere, copied, "{variables:?}");
        }
    }
}

#[test]
fn ports_ci_and_containers_are_no_platform() {
    for variables in [
        &[("PORT", "5006")][..],
        &[("CI", "true")],
        &[("RENDER", "true")],
        &[],
    ] {
        assert_eq!(
            found(variables, "/app", &[Mark::Container]),
            Platform::None,
            "{variables:?}"
        );
    }
    let ci = |value| Sighting::of(&[("CI", value)].into()).ci;
    assert!(ci("true") && ci("1") && !ci("false") && !ci("0"));
}

#[test]
fn two_platforms_contradict_each_other_proven_or_not() {
    let both = [
        ("DYNO", "web.1"),
        ("HOME", "/app"),
        ("FLY_APP_NAME", "a"),
        ("FLY_MACHINE_ID", "1"),
    ];

    assert_eq!(
        found(&both, "/app", &[]),
        Platform::Several(Host::Fly, Host::Heroku)
    );
}

#[test]
fn knative_on_kubernetes_is_one_platform() {
    let both = [
        ("K_SERVICE", "a"),
        ("K_REVISION", "a-1"),
        ("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
        ("KUBERNETES_SERVICE_PORT", "443"),
    ];

    assert_eq!(
        found(&both, "/", &[Mark::Container]),
        Platform::Host(Host::CloudRun, Task::Unknown)
    );
}

#[test]
fn evidence_shows_names_and_no_values() {
    let environ = Environ::from([
        ("DYNO", "canary.1"),
        ("HOME", "/canary"),
        ("FLY_APP_NAME", "canary"),
        ("CI", "canary"),
    ]);

    let shown = format!("{:?}", Sighting::of(&environ));

    assert!(
        shown.contains("FLY_APP_NAME") && !shown.contains("canary"),
        "{shown}"
    );
}
