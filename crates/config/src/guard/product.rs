//! The verdict over the whole product of its inputs: every combination is tried, none
//! is sampled.
//!
//! It asks for properties, not for cells; the cells are in `tests.rs`.

use super::after::{Cell, Row, Seen, Sight};
use super::before::{Declared, Rule, Scene, Target, settle};
use super::found::Kinship;
use crate::address::Reach;
use crate::platform::{Host, Platform, Task};
use crate::{Access, Environment};

const DECLARED: [Declared; 7] = [
    Declared::Nothing,
    Declared::Nonsense,
    Declared::Is(Environment::Development),
    Declared::Is(Environment::Test),
    Declared::Is(Environment::Preview),
    Declared::Is(Environment::Staging),
    Declared::Is(Environment::Production),
];

const PLATFORMS: [Platform; 10] = [
    Platform::None,
    Platform::Host(Host::Heroku, Task::Serve),
    Platform::Host(Host::Heroku, Task::Run),
    Platform::Host(Host::Heroku, Task::Release),
    Platform::Host(Host::HerokuReview, Task::Serve),
    Platform::Host(Host::HerokuCi, Task::Run),
    Platform::Host(Host::Fly, Task::Unknown),
    Platform::Host(Host::Kubernetes, Task::Unknown),
    Platform::Copied(Host::Heroku),
    Platform::Several(Host::Fly, Host::Heroku),
];

const TARGETS: [Target; 5] = [
    Target::One,
    Target::Unusable,
    Target::Overridden,
    Target::Several { listed: true },
    Target::Several { listed: false },
];

const REACHES: [Reach; 3] = [Reach::Local, Reach::Near, Reach::Remote];

const SEEN: [Seen; 9] = [
    Seen::Empty,
    Seen::Unstamped,
    Seen::Is(Environment::Development),
    Seen::Is(Environment::Test),
    Seen::Is(Environment::Preview),
    Seen::Is(Environment::Staging),
    Seen::Is(Environment::Production),
    Seen::Foreign,
    Seen::Unreadable,
];

const KINSHIPS: [Kinship; 3] = [Kinship::Same, Kinship::Differs, Kinship::Unknown];

const BOTH: [bool; 2] = [false, true];

/// Every scene of stage A.
fn scenes() -> impl Iterator<Item = Scene> {
    let flags = || BOTH.into_iter();
    DECLARED.into_iter().flat_map(move |declared| {
        PLATFORMS.into_iter().flat_map(move |platform| {
            TARGETS.into_iter().flat_map(move |target| {
                REACHES.into_iter().flat_map(move |reach| {
                    Access::ALL.into_iter().flat_map(move |access| {
                        flags().flat_map(move |ci| {
                            (0..16).map(move |bits| Scene {
                                declared,
                                platform,
                                ci,
                                target,
                                reach,
                                listed: bits & 1 != 0,
                                pasted: bits & 2 != 0,
                                for_tests: bits & 4 != 0,
                                downgraded: bits & 8 != 0,
                                access,
                            })
                        })
                    })
                })
            })
        })
    })
}

/// Every sight of stage B for a process that stage A has let through.
fn sights(scene: Scene) -> impl Iterator<Item = Sight> {
    let environment = settle(scene.declared, scene.platform).map(|settled| settled.environment);
    let task = match scene.platform {
        Platform::Host(_, task) => Some(task),
        _ => None,
    };
    environment.into_iter().flat_map(move |environment| {
        SEEN.into_iter().flat_map(move |seen| {
            KINSHIPS.into_iter().flat_map(move |kinship| {
                (0..4).map(move |bits| Sight {
                    environment,
                    task,
                    seen,
                    kinship,
                    marker_agrees: bits & 1 != 0,
                    // Whoever dials elsewhere reaches nothing directly.
                    direct: bits & 2 != 0 && scene.reach == Reach::Local,
                    access: scene.access,
                })
            })
        })
    })
}

/// What both stages say together, and by which rule.
fn verdict(scene: &Scene, sight: &Sight) -> (&'static str, Cell) {
    match scene.rule() {
        rule if rule.dials() => {
            let (row, cell) = sight.decide();
            (row.id(), cell)
        }
        rule => (rule.id(), Cell::Refuse),
    }
}

/// One scene for each combination that the other stage can tell apart.
fn plain_scenes() -> impl Iterator<Item = Scene> {
    scenes().filter(|scene| {
        !scene.ci && !scene.pasted && !scene.downgraded && !scene.listed && scene.for_tests
    })
}

#[test]
fn every_cell_has_one_verdict_with_a_rule() {
    let mut cells = 0_u32;
    for scene in plain_scenes() {
        for sight in sights(scene) {
            let (rule, cell) = verdict(&scene, &sight);
            assert_eq!(verdict(&scene, &sight), (rule, cell));
            assert!(rule.len() >= 2, "{scene:?} {sight:?}");
            cells += 1;
        }
    }
    assert!(cells > 70_000, "{cells} cells");
    assert!(scenes().count() > 200_000, "{}", scenes().count());
}

#[test]
fn nothing_off_a_platform_gets_at_production() {
    let mut tried = 0_u32;
    for scene in scenes().filter(|scene| !scene.platform.is_proven()) {
        if scene.access == Access::Look || !scene.rule().dials() {
            continue;
        }
        for sight in sights(scene) {
            if sight.seen == Seen::Is(Environment::Production) && sight.kinship == Kinship::Same {
                tried += 1;
                assert_eq!(sight.decide().1, Cell::Refuse, "{scene:?} {sight:?}");
            }
        }
    }
    assert!(tried >= 600, "{tried} cells");
}

#[test]
fn only_production_writes_to_production_and_nobody_destroys_it() {
    for scene in plain_scenes().filter(|scene| scene.access > Access::Look) {
        for sight in sights(scene) {
            let (_, cell) = verdict(&scene, &sight);
            if sight.seen != Seen::Is(Environment::Production) {
                continue;
            }
            if sight.access == Access::Destroy {
                assert_eq!(cell, Cell::Refuse, "{scene:?} {sight:?}");
            }
            if cell.allows() && sight.access != Access::Restamp {
                assert_eq!(sight.environment, Environment::Production, "{scene:?}");
                assert!(scene.platform.is_proven(), "{scene:?}");
            }
        }
    }
}

#[test]
fn a_release_alone_makes_and_moves_deployed_databases() {
    for scene in plain_scenes() {
        for sight in sights(scene) {
            let (_, cell) = verdict(&scene, &sight);
            if matches!(cell, Cell::Stamp | Cell::Rebind) && sight.environment.is_deployed() {
                assert!(
                    matches!(sight.task, Some(Task::Release | Task::Unknown)),
                    "{scene:?} {sight:?}"
                );
                assert_eq!(sight.access, Access::Migrate);
            }
        }
    }
}

/// Asserts that what a dangerous change leads to is allowed only if it was before.
fn never_loosens<T: std::fmt::Debug>(before: (&T, bool), after: (&T, bool)) {
    assert!(
        before.1 || !after.1,
        "refused: {:?}\nand then allowed: {:?}",
        before.0,
        after.0
    );
}

#[test]
fn a_danger_more_never_opens_stage_a() {
    let dials = |scene: &Scene| scene.rule().dials();
    for scene in scenes() {
        let before = (&scene, dials(&scene));
        let mut dangers = vec![
            Scene { ci: true, ..scene },
            Scene {
                pasted: true,
                ..scene
            },
            Scene {
                downgraded: true,
                ..scene
            },
            Scene {
                listed: false,
                ..scene
            },
            Scene {
                for_tests: false,
                ..scene
            },
            Scene {
                reach: Reach::Remote,
                ..scene
            },
            Scene {
                target: Target::Unusable,
                ..scene
            },
            Scene {
                declared: Declared::Nonsense,
                ..scene
            },
            Scene {
                platform: Platform::Several(Host::Fly, Host::Heroku),
                ..scene
            },
        ];
        if scene.reach == Reach::Local {
            dangers.push(Scene {
                reach: Reach::Near,
                ..scene
            });
        }
        // Off every platform that is for deployment only, its variables are a danger
        // to whoever is deployed, and the lack of any proof is too.
        let deployed =
            matches!(scene.declared, Declared::Is(environment) if environment.is_deployed());
        if deployed && scene.access > Access::Look {
            let platform = Platform::Copied(Host::Heroku);
            dangers.push(Scene { platform, ..scene });
            dangers.push(Scene {
                platform: Platform::None,
                ..scene
            });
        }
        // More is wanted: what may only look may not do more.
        if scene.access == Access::Look {
            dangers.push(Scene {
                access: Access::Write,
                ..scene
            });
        }
        for danger in dangers {
            never_loosens(before, (&danger, dials(&danger)));
        }
    }
}

#[test]
fn a_danger_more_never_opens_stage_b() {
    let allows = |sight: &Sight| sight.decide().1.allows();
    for sight in plain_scenes().flat_map(sights) {
        let before = (&sight, allows(&sight));
        let mut dangers = vec![
            Sight {
                direct: false,
                ..sight
            },
            Sight {
                marker_agrees: false,
                ..sight
            },
            Sight {
                seen: Seen::Unreadable,
                ..sight
            },
        ];
        if sight.access != Access::Restamp {
            let seen = Seen::Is(Environment::Production);
            if sight.environment != Environment::Production {
                dangers.push(Sight { seen, ..sight });
            }
            dangers.push(Sight {
                seen: Seen::Foreign,
                ..sight
            });
            // A database of one's own that may be a copy.
            if sight.kinship == Kinship::Same {
                dangers.push(Sight {
                    kinship: Kinship::Unknown,
                    ..sight
                });
            }
            if sight.kinship == Kinship::Unknown && sight.access != Access::Migrate {
                dangers.push(Sight {
                    kinship: Kinship::Differs,
                    ..sight
                });
            }
        } else {
            // Whoever may adopt a copy may not adopt the thing itself.
            dangers.push(Sight {
                kinship: Kinship::Same,
                ..sight
            });
        }
        for danger in dangers {
            never_loosens(before, (&danger, allows(&danger)));
        }
    }
}

#[test]
fn rules_that_refuse_are_told_from_those_that_dial() {
    let dialling: Vec<Rule> = scenes()
        .map(|scene| scene.rule())
        .filter(|rule| rule.dials())
        .collect();

    assert!(dialling.contains(&Rule::A14) && dialling.contains(&Rule::A15));
    for rule in [
        Rule::A1,
        Rule::A2,
        Rule::A3,
        Rule::A4,
        Rule::A5,
        Rule::A7,
        Rule::A8,
        Rule::A9,
        Rule::A10,
        Rule::A11,
        Rule::A12,
        Rule::A13,
        Rule::T1,
    ] {
        assert!(!rule.dials());
        assert!(
            scenes().any(|scene| scene.rule() == rule),
            "{rule:?} never decides"
        );
    }
    for row in [
        Row::B1,
        Row::B2,
        Row::B3,
        Row::B4,
        Row::B5,
        Row::B6,
        Row::B7,
        Row::B8,
        Row::B9,
        Row::B10,
        Row::B11,
        Row::B12,
        Row::B13,
    ] {
        let decides = |sight: Sight| sight.decide().0 == row;
        assert!(
            plain_scenes().flat_map(sights).any(decides),
            "{row:?} never decides"
        );
    }
}
