;; Hands the host a list of 268 million fields that are not there.
(import "lockgate:plugin/log@0.1.0" "write" (func $write (param i32 i32 i32 i32 i32)))
(func $attack (type $transform)
  (call $write (i32.const 2) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0x0fffffff))
  unreachable)
