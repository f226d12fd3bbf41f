//! The tables as Diesel sees them. `testing` proves them equal to the migrations.
//!
//! It never says what a column means: the comments in `migrations/` do.

diesel::table! {
    accounts (id) {
        id -> Uuid,
        email -> Text,
        password_hash -> Nullable<Text>,
        role -> Text,
        disabled_at -> Nullable<Timestamptz>,
        seq -> BigInt,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    sessions (token_sha256) {
        token_sha256 -> Binary,
        account_id -> Uuid,
        created_at -> Timestamptz,
        seen_at -> Timestamptz,
        expires_at -> Timestamptz,
        agent -> Nullable<Text>,
        network -> Nullable<Text>,
    }
}

diesel::table! {
    sign_in_links (token_sha256) {
        token_sha256 -> Binary,
        account_id -> Uuid,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        used_at -> Nullable<Timestamptz>,
        sets_password -> Bool,
    }
}

diesel::table! {
    sign_in_attempts (subject) {
        subject -> Text,
        attempts -> Integer,
        ends_at -> Timestamptz,
    }
}

diesel::table! {
    security_events (id) {
        id -> Uuid,
        at -> Timestamptz,
        kind -> Text,
        actor -> Nullable<Text>,
        subject -> Nullable<Text>,
        network -> Nullable<Text>,
        detail -> Nullable<Text>,
    }
}

diesel::table! {
    api_tokens (id) {
        id -> Uuid,
        account_id -> Uuid,
        name -> Text,
        token_sha256 -> Binary,
        scopes -> Array<Text>,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        used_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    uploads (id) {
        id -> Uuid,
        owner_id -> Uuid,
        name -> Text,
        media_type -> Nullable<Text>,
        metadata -> Text,
        state -> Text,
        total_bytes -> Nullable<BigInt>,
        stored_bytes -> BigInt,
        writer -> BigInt,
        hash_state -> Nullable<Binary>,
        sha256 -> Nullable<Binary>,
        rate -> Nullable<BigInt>,
        message -> Nullable<Text>,
        inspection -> Nullable<Jsonb>,
        seq -> BigInt,
        created_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
        expires_at -> Nullable<Timestamptz>,
        removed_at -> Nullable<Timestamptz>,
        store -> Text,
        swept_at -> Nullable<Timestamptz>,
        explicit_end -> Bool,
        concat -> Nullable<Text>,
        expected_sha256 -> Nullable<Binary>,
        part_bytes -> Nullable<BigInt>,
        multipart -> Nullable<Text>,
    }
}

diesel::table! {
    upload_parts (final_id, position) {
        final_id -> Uuid,
        position -> Integer,
        part_id -> Uuid,
    }
}

diesel::table! {
    chunks (upload_id, start_byte) {
        upload_id -> Uuid,
        start_byte -> BigInt,
        data -> Binary,
    }
}

diesel::table! {
    parts (upload_id, number) {
        upload_id -> Uuid,
        number -> Integer,
        end_byte -> BigInt,
        etag -> Text,
    }
}

diesel::table! {
    jobs (id) {
        id -> Uuid,
        upload_id -> Uuid,
        kind -> Text,
        state -> Text,
        step -> Nullable<Text>,
        done -> BigInt,
        total -> Nullable<BigInt>,
        unit -> Text,
        rate -> Nullable<BigInt>,
        attempt -> Integer,
        attempts_max -> Integer,
        run_after -> Timestamptz,
        lease_until -> Nullable<Timestamptz>,
        cancelling -> Bool,
        checkpoint -> Nullable<Jsonb>,
        message -> Nullable<Text>,
        seq -> BigInt,
        created_at -> Timestamptz,
        started_at -> Nullable<Timestamptz>,
        finished_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    slipway_migrations (version) {
        version -> Text,
        sha256 -> Binary,
        binary_version -> Nullable<Text>,
        started_at -> Nullable<Timestamptz>,
        finished_at -> Timestamptz,
        duration_ms -> Nullable<BigInt>,
        tries -> Nullable<Integer>,
    }
}

diesel::table! {
    slipway_stamp (only_row) {
        only_row -> Bool,
        version -> Integer,
        environment -> Text,
        app_id -> Nullable<Uuid>,
        shared_with -> Array<Uuid>,
        system_identifier -> Nullable<BigInt>,
        database_oid -> BigInt,
        database_name -> Text,
        marked -> Bool,
        stamped_at -> Timestamptz,
        stamped_by -> Text,
    }
}

diesel::joinable!(sessions -> accounts (account_id));
diesel::joinable!(sign_in_links -> accounts (account_id));
diesel::joinable!(api_tokens -> accounts (account_id));
diesel::joinable!(uploads -> accounts (owner_id));
diesel::joinable!(chunks -> uploads (upload_id));
diesel::joinable!(parts -> uploads (upload_id));
diesel::joinable!(jobs -> uploads (upload_id));
diesel::joinable!(upload_parts -> uploads (part_id));

diesel::allow_tables_to_appear_in_same_query!(
    accounts,
    api_tokens,
    chunks,
    jobs,
    parts,
    sessions,
    sign_in_links,
    upload_parts,
    uploads,
);
