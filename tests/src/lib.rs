//! Suites that cross rooms: http, kubectl, labs, jail, restart, browser, tidy.
