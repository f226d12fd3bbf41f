//! Stage B, cell by cell, and what is said about it.

use super::tests::{REMOTE, environ, on_dyno, settings};
use super::*;
use crate::platform::Task;

/// One cell of the table of stage B, in its own notation: what reading, writing,
/// migrating and destroying lead to.
fn row(sight: Sight) -> String {
    let accesses = [
        Access::Read,
        Access::Write,
        Access::Migrate,
        Access::Destroy,
    ];
    accesses
        .map(|access| match (Sight { access, ..sight }).decide().1 {
            Cell::Allow => 'y',
            Cell::Warn => 'w',
            Cell::Stamp => 'S',
            Cell::Rebind => 'r',
            Cell::Unready => 'u',
            Cell::Confirm => 'c',
            Cell::Refuse => 'x',
        })
        .into_iter()
        .collect()
}

/// The columns are in [`the_table_of_stage_b_is_this`].
const TABLE: [(Seen, Kinship, &str); 16] = [
    (
        Seen::Empty,
        Kinship::Unknown,
        "yuSc yuSy yuSc yuxx yuSx yuxx yuxx",
    ),
    (
        Seen::Unstamped,
        Kinship::Unknown,
        "wxxx xxxx xxxx xxxx xxxx xxxx xxxx",
    ),
    (
        Seen::Is(Environment::Development),
        Kinship::Same,
        "yyyc xxxx xxxx xxxx xxxx xxxx xxxx",
    ),
    (
        Seen::Is(Environment::Development),
        Kinship::Differs,
        "ywwx xxxx xxxx xxxx xxxx xxxx xxxx",
    ),
    (
        Seen::Is(Environment::Development),
        Kinship::Unknown,
        "ywwx xxxx xxxx xxxx xxxx xxxx xxxx",
    ),
    (
        Seen::Is(Environment::Test),
        Kinship::Same,
        "yxxx yyyy xxxx xxxx xxxx xxxx xxxx",
    ),
    (
        Seen::Is(Environment::Test),
        Kinship::Differs,
        "xxxx ywwx xxxx xxxx xxxx xxxx xxxx",
    ),
    (
        Seen::Is(Environment::Preview),
        Kinship::Same,
        "xxxx xxxx yyyc xxxx xxxx xxxx xxxx",
    ),
    (
        Seen::Is(Environment::Preview),
        Kinship::Differs,
        "xxxx xxxx wwrx xxxx xxxx xxxx xxxx",
    ),
    (
        Seen::Is(Environment::Staging),
        Kinship::Same,
        "xxxx xxxx xxxx yyyc xxxx xxxx xxxx",
    ),
    (
        Seen::Is(Environment::Staging),
        Kinship::Differs,
        "xxxx xxxx xxxx wwxx xxxx xxxx xxxx",
    ),
    (
        Seen::Is(Environment::Production),
        Kinship::Same,
        "xxxx xxxx xxxx xxxx yyyx yywx yyxx",
    ),
    (
        Seen::Is(Environment::Production),
        Kinship::Differs,
        "xxxx xxxx xxxx xxxx wwrx wwxx wwxx",
    ),
    (
        Seen::Is(Environment::Production),
        Kinship::Unknown,
        "xxxx xxxx xxxx xxxx wwwx wwwx wwxx",
    ),
    (
        Seen::Foreign,
        Kinship::Same,
        "xxxx xxxx xxxx xxxx xxxx xxxx xxxx",
    ),
    (
        Seen::Unreadable,
        Kinship::Unknown,
        "xxxx xxxx xuxx xuxx xuxx xuxx xuxx",
    ),
];

#[test]
fn the_table_of_stage_b_is_this() {
    use Environment::{Development, Preview, Production, Staging, Test};
    // Columns: a laptop, a test run, and the release, run and web processes of the rest.
    let columns = [
        (Development, None),
        (Test, None),
        (Preview, Some(Task::Release)),
        (Staging, Some(Task::Run)),
        (Production, Some(Task::Release)),
        (Production, Some(Task::Run)),
        (Production, Some(Task::Serve)),
    ];
    for (seen, kinship, expected) in TABLE {
        let rows = columns.map(|(environment, task)| {
            row(Sight {
                environment,
                task,
                seen,
                kinship,
                marker_agrees: true,
                direct: true,
                access: Access::Read,
            })
        });
        assert_eq!(rows.join(" "), expected, "{seen:?} {kinship:?}");
    }
}

fn stamped(environment: Environment, system: i64) -> Found {
    let identity = |system| Identity {
        system: Some(system),
        oid: 16_400,
        name: "shop".to_owned(),
    };
    let stamp = Stamp {
        environment,
        app_id: None,
        shared_with: Vec::new(),
        identity: identity(1),
        marked: true,
        stamped_at: time::OffsetDateTime::UNIX_EPOCH,
        stamped_by: "a test".to_owned(),
    };
    Found {
        marker: (system == 1).then(|| stamp.marker()),
        stamp: StampSeen::Is(Box::new(stamp)),
        here: identity(system),
        server: None,
    }
}

fn laptop() -> ApprovedDatabase {
    let environ = environ(&[
        ("SLIPWAY_ENV", "development"),
        ("DATABASE_URL", "postgres://u@localhost:6000/shop"),
    ]);
    approve(&environ, &settings(), Access::Write).unwrap()
}

#[test]
fn a_tunnel_to_production_is_named_and_nothing_is_offered() {
    let mut found = stamped(Environment::Production, 1);
    found.server = "10.0.0.5".parse().ok();

    let refusal = laptop().admit(&found).unwrap_err();

    assert_eq!(refusal.ruling.rule, "B9");
    let shown = refusal.to_string();
    assert!(
        shown.contains("behind a tunnel") && shown.contains("10.0.0.5"),
        "{shown}"
    );
    assert!(!shown.contains("adopt --as"), "{shown}");
}

#[test]
fn a_restored_copy_of_production_is_refused_and_its_adoption_offered() {
    let refusal = laptop()
        .admit(&stamped(Environment::Production, 2))
        .unwrap_err();

    assert_eq!(refusal.ruling.rule, "B10");
    let shown = refusal.to_string();
    assert!(shown.contains("db adopt --as development"), "{shown}");
    assert!(shown.contains("production/shop#"), "{shown}");
    // Through a tunnel nobody knows where it is.
    let mut far = stamped(Environment::Production, 2);
    far.server = "10.0.0.5".parse().ok();
    let refusal = laptop().admit(&far).unwrap_err();
    assert!(!refusal.to_string().contains("adopt --as"), "{refusal}");
}

#[test]
fn a_marker_that_is_gone_makes_a_copy_of_it_and_never_a_friend() {
    let mut found = stamped(Environment::Development, 1);
    assert_eq!(laptop().admit(&found).unwrap().warning, None);

    found.marker = None;

    let admission = laptop().admit(&found).unwrap();
    assert_eq!(admission.warning.map(|ruling| ruling.rule), Some("B4"));
    assert!(laptop().permit(&found).is_err());
    let mut production = stamped(Environment::Production, 1);
    production.marker = None;
    assert!(laptop().admit_to(Access::Restamp, &production).is_err());
}

#[test]
fn apps_do_not_share_a_database_by_accident() {
    let ours = "0b9c2f3e-3f7a-4c3e-9a54-0d8d3f7f1c11";
    let theirs = "7d1d4a5e-20a4-4a57-8a19-5a3b9d8e7c22";
    let approved = |app| {
        let variables = [
            ("SLIPWAY_ENV", "production"),
            ("DATABASE_URL", REMOTE),
            ("SLIPWAY_APP_ID", app),
        ];
        approve(&on_dyno("web.1", &variables), &settings(), Access::Write).unwrap()
    };
    let mut found = stamped(Environment::Production, 1);
    if let StampSeen::Is(stamp) = &mut found.stamp {
        stamp.app_id = ours.parse().ok();
        stamp.shared_with = vec![];
        found.marker = Some(stamp.marker());
    }

    assert!(approved(ours).admit(&found).is_ok());
    assert_eq!(
        approved(theirs).admit(&found).unwrap_err().ruling.rule,
        "B12"
    );
    assert_eq!(approved("").admit(&found).unwrap_err().ruling.rule, "B12");

    if let StampSeen::Is(stamp) = &mut found.stamp {
        stamp.shared_with = theirs.parse().into_iter().collect();
    }
    assert!(approved(theirs).admit(&found).is_ok());
}

#[test]
fn a_permit_is_for_a_database_of_tests_and_for_that_one() {
    let environ = environ(&[
        ("SLIPWAY_ENV", "test"),
        ("TEST_DATABASE_URL", "postgres://u@%2Ftmp/x_test"),
    ]);
    let approved = approve(&environ, &settings(), Access::Write).unwrap();

    let permit = approved.permit(&stamped(Environment::Test, 1)).unwrap();

    assert_eq!(permit.database(), "shop");
    assert!(approved.permit(&stamped(Environment::Test, 2)).is_err());
    assert!(
        approved
            .permit(&stamped(Environment::Development, 1))
            .is_err()
    );
    assert!(
        approved
            .permit(&stamped(Environment::Production, 1))
            .is_err()
    );
}
