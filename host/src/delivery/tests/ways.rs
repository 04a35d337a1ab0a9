//! Whole ways over the in-memory store, scripted plugins and a clock that the test moves.
