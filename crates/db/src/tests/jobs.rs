//! Jobs belong to the worker that holds the lease, and to nobody else.

use super::*;

#[tokio::test]
async fn a_lost_lease_reports_and_settles_nothing() {
    let bench = bench().await;
    bench.stored_file().await;
    let first = bench.db.job_claim(LEASE).await.unwrap().unwrap();
    assert_eq!(
        bench.db.job_claim(LEASE).await.unwrap(),
        None,
        "it is leased"
    );
    let reported = Reported {
        step: "reading".to_owned(),
        done: 1,
        checkpoint: Some(serde_json::json!({"at": 1})),
        ..Reported::default()
    };
    assert_eq!(
        bench
            .db
            .job_report(first.lease, reported, LEASE)
            .await
            .unwrap(),
        Some(false)
    );
    bench
        .database
        .execute("UPDATE jobs SET lease_until = now() - interval '1 second'")
        .unwrap();

    let second = bench.db.job_claim(LEASE).await.unwrap().unwrap();

    assert_eq!(
        (second.lease.attempt(), second.checkpoint),
        (2, Some(serde_json::json!({"at": 1})))
    );
    assert_eq!(
        bench
            .db
            .job_report(first.lease, Reported::default(), LEASE)
            .await
            .unwrap(),
        None
    );
    assert!(
        !bench
            .db
            .job_settle(first.lease, Settlement::Cancelled)
            .await
            .unwrap()
    );
    let message = "all well".to_owned();
    let settlement = Settlement::Inspected {
        sha256: WHOLE,
        media_type: None,
        findings: serde_json::json!({}),
        message,
    };
    assert!(bench.db.job_settle(second.lease, settlement).await.unwrap());
    let (job, _) = bench.db.job_get(second.lease.job()).await.unwrap().unwrap();
    assert_eq!(
        (job.state, job.message.as_deref()),
        (JobState::Done, Some("all well"))
    );
}

#[tokio::test]
async fn a_job_that_breaks_is_tried_again_until_it_has_failed() {
    let bench = bench().await;
    let id = bench.stored_file().await;
    let broke = || Settlement::Broke {
        message: "no luck".to_owned(),
        pause: Duration::ZERO,
    };
    let mut tries = 0;

    while let Some(leased) = bench.db.job_claim(LEASE).await.unwrap() {
        tries += 1;
        assert!(bench.db.job_settle(leased.lease, broke()).await.unwrap());
    }

    let job = bench.jobs_of(id).await.remove(0);
    assert_eq!((tries, job.state), (5, JobState::Failed));
    let retried = bench.db.job_retry(job.id).await.unwrap();
    assert!(matches!(retried, JobChange::Accepted(job) if job.state == JobState::Queued));
    assert!(bench.db.job_claim(LEASE).await.unwrap().is_some());
}

#[tokio::test]
async fn a_running_job_hears_that_it_is_cancelled() {
    let bench = bench().await;
    bench.stored_file().await;
    let leased = bench.db.job_claim(LEASE).await.unwrap().unwrap();

    bench.db.job_cancel(leased.lease.job()).await.unwrap();

    let told = bench
        .db
        .job_report(leased.lease, Reported::default(), LEASE)
        .await
        .unwrap();
    assert_eq!(told, Some(true));
    assert!(
        bench
            .db
            .job_settle(leased.lease, Settlement::Cancelled)
            .await
            .unwrap()
    );
    let again = bench.db.job_cancel(leased.lease.job()).await.unwrap();
    assert!(matches!(again, JobChange::NotNow(_)));
}
