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
    assert!(
        bench
            .db
            .sign_in_link_add(link, email(), WEEK)
            .await
            .unwrap()
    );

    let account = bench.db.sign_in_link_use(link).await.unwrap().unwrap();
    assert_eq!(account.id, bench.owner);
    assert_eq!(bench.db.sign_in_link_use(link).await.unwrap(), None);

    bench
        .db
        .session_start(token, account.id, limits)
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
    assert!(bench.db.account_set_disabled(email(), true).await.unwrap());
    assert_eq!(bench.db.session_account(token, limits).await.unwrap(), None);
    assert!(
        !bench
            .db
            .sign_in_link_add(link, email(), WEEK)
            .await
            .unwrap(),
        "disabled"
    );
}
