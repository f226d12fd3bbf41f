//! The usage page, and a guess at what a mistyped word was meant to be.
//!
//! The page is the whole interface of xtask on one screen; nothing works that is not
//! on it.

/// What `cargo xtask` prints when it is asked for nothing in particular.
pub(crate) const PAGE: &str = "\
cargo xtask: the developer commands of Slipway

  dev               run Slipway here with a private Postgres; Ctrl-C stops everything
    --port N          listen on N (default 8080; the next free one if it is taken)
    --reset           start with an empty development database
    --release         build with optimisation
    --ready-file FILE write {url, sign_in_url, token} as JSON once pages are served
    --verbose         show the commands that are run
  test [FILTER]     all tests (or those whose name contains FILTER) on a throw-away Postgres
    --postgres WHICH  found: the usual search (default); package: the one fetched by npm or pip
  bench [NAME [CASE]]  measure everything (or NAME: uploads; or of it the cases whose names contain
                    CASE) on an optimised build and a Postgres with fsync
  soak [NAME]       the fault campaigns (or the one called NAME) at full length, optimised
  ci                every check of a change: format, lints, house rules, documents, tests
  layers            may each crate use what it uses?
  tidy              house rules that the compiler does not know
  help              this page

Environment: SLIPWAY_PG_BIN names the folder of the Postgres programs to use, CHROMIUM
the browser for the browser tests.
";

/// Letters that may differ between what was typed and what we suggest: enough for a
/// slip or two, too few to propose something unrelated.
const SLIPS_MAX: usize = 2;

/// The known word nearest to `typed`, if one is near.
pub(crate) fn nearest<'a>(typed: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|word| (distance(typed, word), *word))
        .filter(|(slips, word)| *slips <= SLIPS_MAX && *slips < word.len())
        .min()
        .map(|(_, word)| word)
}

/// Number of letters to insert, drop or change to get from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, letter) in from.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (j, other) in to.iter().enumerate() {
            let above = row[j + 1];
            let changed = diagonal + usize::from(letter != *other);
            row[j] = left;
            left = changed.min(above + 1).min(left + 1);
            diagonal = above;
        }
        row[to.len()] = left;
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn distance_counts_single_letter_slips() {
        assert_eq!(distance("dev", "dev"), 0);
        assert_eq!(distance("tets", "test"), 2);
        assert_eq!(distance("layer", "layers"), 1);
        assert_eq!(distance("", "ci"), 2);
        assert_eq!(distance("tidy", ""), 4);
    }

    #[test]
    fn a_slip_is_recognised_and_nonsense_is_not() {
        let known = ["dev", "test", "ci", "layers", "tidy"];
        assert_eq!(nearest("tests", &known), Some("test"));
        assert_eq!(nearest("laeyrs", &known), Some("layers"));
        assert_eq!(nearest("deploy", &known), None);
        assert_eq!(nearest("xy", &known), None);
    }
}
