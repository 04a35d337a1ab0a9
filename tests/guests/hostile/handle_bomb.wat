;; Takes a handle of the host's, and another one, and never gives one back.
(import "wasi:clocks/monotonic-clock@0.2.6" "subscribe-duration" (func $subscribe (param i64) (result i32)))
(func $attack (type $transform) (loop (drop (call $subscribe (i64.const 1000000000))) (br 0)) unreachable)
