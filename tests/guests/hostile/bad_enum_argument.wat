;; Logs at a level that there is not.
(import "lockgate:plugin/log@0.1.0" "write" (func $write (param i32 i32 i32 i32 i32)))
(func $attack (type $transform)
  (call $write (i32.const 99) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
  unreachable)
