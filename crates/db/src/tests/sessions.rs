//! Links and sessions let in whom they should, for as long as they should.

use super::*;

#[tokio::test]
async fn a_link_signs_in_once_and_a_session_ends() {
    let bench = bench().await;
    let limits = SessionLimits {
        idle: WEEK,
        absolute: WEEK,
    };
    let (link, token) = (
        Sha256Digest::from_bytes([1; 32]),
        Sha256Digest::from_bytes([2; 32]),
    );
    let email = || "owner@example.com".to_owned();
    let new_link = || NewLink {
        token: link,
        email: email(),
        lifetime: WEEK,
        sets_password: false,
    };
    assert!(
        bench
            .db
            .sign_in_link_add(new_link(), event())
            .await
            .unwrap()
    );

    let account = bench
        .db
        .sign_in_link_use(link, None, event())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(account.id, bench.owner);
    assert_eq!(
        bench
            .db
            .sign_in_link_use(link, None, event())
            .await
            .unwrap(),
        None
    );

    let session = NewSession {
        token,
        account: account.id,
        agent: None,
        network: None,
    };
    bench
        .db
        .session_start(session, limits, event())
        .await
        .unwrap();
    assert!(
        bench
            .db
            .session_account(token, limits)
            .await
            .unwrap()
            .is_some()
    );
    let disabled = bench.db.account_set_disabled(email(), true, event());
    assert_eq!(disabled.await.unwrap(), AccountChange::Done);
    assert_eq!(bench.db.session_account(token, limits).await.unwrap(), None);
    assert!(
        !bench
            .db
            .sign_in_link_add(new_link(), event())
            .await
            .unwrap(),
        "disabled"
    );
}

#[tokio::test]
async fn attempts_are_counted_for_the_address_and_for_the_network() {
    let bench = bench().await;
    let limits = AttemptLimits {
        account_max: 2,
        network_max: 4,
        within: WEEK,
    };
    let attempt = |email: &str| Attempt {
        email: email.to_owned(),
        network: Network::from(std::net::IpAddr::from([192, 0, 2, 1])),
    };
    let count = async |email: &str| {
        let counted = bench
            .db
            .sign_in_attempt_count(attempt(email), limits, event());
        counted.await.unwrap().is_none()
    };

    assert!(count("a@example.com").await && count("a@example.com").await);
    assert!(!count("a@example.com").await, "two of one address");
    assert!(count("b@example.com").await, "four from one network");
    assert!(!count("c@example.com").await, "the fifth");
    assert!(!count("d@example.com").await, "and any other");
    let events = bench.db.security_event_list(None, 10).await.unwrap();
    let halted = events.iter().filter(|event| event.detail.is_some());
    assert_eq!(halted.count(), 2, "the first too many of each: {events:?}");

    bench
        .db
        .sign_in_attempt_forgive(attempt("a@example.com"))
        .await
        .unwrap();
    let alone = AttemptLimits {
        network_max: 100,
        ..limits
    };
    let again = bench
        .db
        .sign_in_attempt_count(attempt("a@example.com"), alone, event());
    assert_eq!(again.await.unwrap(), None);
}

#[tokio::test]
async fn somebody_is_always_left_who_may_administer() {
    let bench = bench().await;
    let owner = || "owner@example.com".to_owned();
    let role = async |email: String, role: Role| {
        bench
            .db
            .account_set_role(email, role, event())
            .await
            .unwrap()
    };
    assert_eq!(
        role(owner(), Role::Administrator).await,
        AccountChange::Done
    );

    let last = AccountChange::LastAdministrator;
    assert_eq!(role(owner(), Role::Member).await, last);
    let disabled = bench.db.account_set_disabled(owner(), true, event());
    assert_eq!(disabled.await.unwrap(), last);
    assert_eq!(
        role("nobody@example.com".to_owned(), Role::Member).await,
        AccountChange::Missing
    );
}
