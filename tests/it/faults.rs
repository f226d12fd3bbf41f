//! The fault campaigns in short: `cargo xtask soak` runs them at full length.
//!
//! Each checks its own promises; a seed that fails is told, and repeats the run.

use std::time::Duration;

use anyhow::Result;
use slipway_tests::faults::{Drain, Ends, Flood, Kills, Two};
use slipway_tests::{Storage, stores};

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_byte_is_lost_however_often_the_server_is_killed() -> Result<()> {
    for store in stores() {
        let campaign = Kills {
            kills: 5,
            at_once: 3,
            storage: Storage::of(store)?,
            seed: 1,
        };

        let killed = campaign.run().await?;

        assert!(killed.files >= 3 && killed.looks > 0, "{store}: {killed:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_received_byte_is_kept_when_the_server_is_asked_to_go() -> Result<()> {
    let ended = Ends { ends: 3, seed: 2 }.run().await?;

    assert!(ended.kept > 0, "{ended:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn files_arrive_whole_through_two_servers_and_a_network_that_cuts() -> Result<()> {
    let campaign = Two {
        files: 4,
        file_bytes: 8_000_000,
        seed: 3,
    };

    let weathered = campaign.run().await?;

    assert!(weathered.cuts > 0, "{weathered:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_go_on_and_memory_is_bounded_in_a_flood_of_sign_ins() -> Result<()> {
    for scattered in [false, true] {
        let flood = Flood {
            rate: 100,
            lasts: Duration::from_secs(2),
            scattered,
        };

        let flooded = flood.run().await?;

        let refused = flooded.answers.get(&429).copied().unwrap_or_default();
        assert!(
            flooded.chunks > 0 && (refused > 0 || scattered),
            "{flooded:?}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_viewers_are_sent_elsewhere_one_by_one() -> Result<()> {
    let drained = Drain { viewers: 1000 }.run().await?;

    assert!(drained.closed_at_once < 500, "{drained:?}");
    Ok(())
}
