//! Which bucket, and the key to it: from the variables that clients of AWS know, or
//! from those of Heroku's Bucketeer add-on.
//!
//! It never mixes the two: a key of one is no key to the bucket of the other.

use secrecy::SecretString;

use crate::{Environ, Fault};

/// The region that is meant where none is said, as elsewhere.
const REGION: &str = "us-east-1";

/// A bucket, and leave to use it.
#[derive(Debug, Clone)]
pub struct S3Settings {
    /// The bucket.
    pub bucket: String,
    /// Where it is.
    pub region: String,
    /// Who speaks S3, if not AWS.
    pub endpoint: Option<String>,
    /// Name of the key.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: SecretString,
}

impl S3Settings {
    /// The bucket of this process; `None` if no variable speaks of one.
    ///
    /// # Errors
    /// When something is missing, or the key would travel in the clear.
    pub(crate) fn of(environ: &Environ, deployed: bool) -> Result<Option<Self>, Fault> {
        let [bucket, id, secret, region] = match environ.get("S3_BUCKET") {
            Some(_) => [
                "S3_BUCKET",
                "AWS_ACCESS_KEY_ID",
                "AWS_SECRET_ACCESS_KEY",
                "AWS_REGION",
            ],
            None if environ.get("BUCKETEER_BUCKET_NAME").is_some() => [
                "BUCKETEER_BUCKET_NAME",
                "BUCKETEER_AWS_ACCESS_KEY_ID",
                "BUCKETEER_AWS_SECRET_ACCESS_KEY",
                "BUCKETEER_AWS_REGION",
            ],
            None => return Ok(None),
        };
        let needed = |name: &str| {
            let missing = || Fault(format!("{bucket} is set and {name} is not"));
            environ.get(name).map(str::to_owned).ok_or_else(missing)
        };
        let endpoint = environ.get("AWS_ENDPOINT_URL").map(str::to_owned);
        let clear = |endpoint: &String| !endpoint.starts_with("https://");
        if deployed && endpoint.as_ref().is_some_and(clear) {
            return Err(Fault(
                "AWS_ENDPOINT_URL does not begin with https://, so files would travel in the clear"
                    .to_owned(),
            ));
        }
        Ok(Some(Self {
            bucket: needed(bucket)?,
            region: environ.get(region).unwrap_or(REGION).to_owned(),
            endpoint,
            access_key_id: needed(id)?,
            secret_access_key: SecretString::from(needed(secret)?),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [(&str, &str); 3] = [
        ("S3_BUCKET", "files"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "canary"),
    ];

    fn of<const N: usize>(
        more: [(&str, &str); N],
        deployed: bool,
    ) -> Result<Option<S3Settings>, Fault> {
        let pairs = KEY.iter().chain(&more);
        let owned = pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        S3Settings::of(&owned.collect(), deployed)
    }

    #[test]
    fn a_bucket_needs_its_key_and_shows_none() {
        let settings = of([], true).unwrap().unwrap();
        assert_eq!(settings.region, REGION);
        assert!(!format!("{settings:?}").contains("canary"));

        let without = Environ::from([KEY[0], KEY[1]]);
        let Fault(told) = S3Settings::of(&without, false).unwrap_err();
        assert!(told.contains("AWS_SECRET_ACCESS_KEY"), "{told}");
        assert!(
            S3Settings::of(&Environ::default(), false)
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn the_add_on_brings_its_own_key() {
        let environ = Environ::from([
            ("BUCKETEER_BUCKET_NAME", "bucketeer-1"),
            ("BUCKETEER_AWS_ACCESS_KEY_ID", "theirs"),
            ("BUCKETEER_AWS_SECRET_ACCESS_KEY", "canary"),
            ("BUCKETEER_AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "other"),
        ]);

        let settings = S3Settings::of(&environ, true).unwrap().unwrap();

        assert_eq!(
            (settings.access_key_id, settings.region),
            ("theirs".to_owned(), "eu-west-1".to_owned())
        );
    }

    #[test]
    fn nothing_travels_in_the_clear_once_deployed() {
        let clear = ("AWS_ENDPOINT_URL", "http://127.0.0.1:9000");

        assert!(of([clear], false).is_ok());
        assert!(of([clear], true).is_err());
    }
}
