// Every attack, for the guest that has them and the tests that run them: one that only one of them has breaks the build.
attacks! {
    others_data,
    key_spellings,
    alias_guessing,
    header_injection,
    path_escapes,
    ten_million_host_calls,
    gigabyte_of_log,
    log_lines_that_act,
    requests_that_hang,
    five_thousand_requests,
    quota_exhaustion,
    idempotency_key_forgery,
}
