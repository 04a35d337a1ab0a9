//! The one macro line of each role, and of `setup`.
//!
//! Natively the macros only check that the trait is implemented: a component's entry points mean nothing there, and two
//! plugins linked into one test would both define them.

/// Makes the component's `transformer` export from a type that implements [`Transformer`](crate::Transformer).
#[macro_export]
macro_rules! export_transformer {
    ($plugin:ident) => {
        const _: fn() = || {
            fn implemented<T: $crate::Transformer>() {}
            implemented::<$plugin>();
        };
        #[cfg(target_family = "wasm")]
        $crate::__bindings::transformer::export!($plugin with_types_in $crate::__bindings::transformer);
    };
}

/// Makes the component's `sink` export from a type that implements [`Sink`](crate::Sink).
#[macro_export]
macro_rules! export_sink {
    ($plugin:ident) => {
        const _: fn() = || {
            fn implemented<T: $crate::Sink>() {}
            implemented::<$plugin>();
        };
        #[cfg(target_family = "wasm")]
        $crate::__bindings::sink::export!($plugin with_types_in $crate::__bindings::sink);
    };
}

/// Makes the component's `batch-sink` export from a type that implements [`BatchSink`](crate::BatchSink).
#[macro_export]
macro_rules! export_batch_sink {
    ($plugin:ident) => {
        const _: fn() = || {
            fn implemented<T: $crate::BatchSink>() {}
            implemented::<$plugin>();
        };
        #[cfg(target_family = "wasm")]
        $crate::__bindings::batch_sink::export!($plugin with_types_in $crate::__bindings::batch_sink);
    };
}

/// Makes the component's `source` export from a type that implements [`Source`](crate::Source).
#[macro_export]
macro_rules! export_source {
    ($plugin:ident) => {
        const _: fn() = || {
            fn implemented<T: $crate::Source>() {}
            implemented::<$plugin>();
        };
        #[cfg(target_family = "wasm")]
        $crate::__bindings::source::export!($plugin with_types_in $crate::__bindings::source);
    };
}

/// Makes the component's `setup` export from a type that implements [`Setup`](crate::Setup), beside the export of its role.
#[macro_export]
macro_rules! export_setup {
    ($plugin:ident) => {
        const _: fn() = || {
            fn implemented<T: $crate::Setup>() {}
            implemented::<$plugin>();
        };
        #[cfg(target_family = "wasm")]
        $crate::__bindings::setup::export!($plugin with_types_in $crate::__bindings::setup);
    };
}
