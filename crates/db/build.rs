//! Has the migrations compiled in again when one is added; watching only the
//! files that were there the last time would miss a new folder.

fn main() {
    println!("cargo::rerun-if-changed=../../migrations");
}
