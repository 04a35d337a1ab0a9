;; Hands the host a list that is there: two million fields, which all are the same text of 16 KiB.
(import "lockgate:plugin/log@0.1.0" "write" (func $write (param i32 i32 i32 i32 i32)))
(memory (export "memory") 980)
(func $attack (type $transform)
  (local $at i32)
  (loop $more
    (i32.store offset=131072 (local.get $at) (i32.const 1024))
    (i32.store offset=131076 (local.get $at) (i32.const 16384))
    (local.set $at (i32.add (local.get $at) (i32.const 8)))
    (br_if $more (i32.lt_u (local.get $at) (i32.const 32000000))))
  (call $write (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 131072) (i32.const 2000000))
  unreachable)
