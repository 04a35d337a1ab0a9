//! What holds while a call lasts: natively nothing; whether there is a host is known where it is asked.

export function begin() {}

export function end() {}
