;; Writes, sends a message to a channel that is read, and traps: nothing of it may be there afterwards.
(import "lockgate:plugin/key-value@0.1.0" "set" (func $set (param i32 i32 i32 i32 i32 i64 i32)))
(import "lockgate:plugin/queue@0.1.0" "send" (func $send (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i64 i32 i32 i32 i32)))
(data (i32.const 2048) "key")
(data (i32.const 2064) "attack.out")
(func $attack (type $transform)
  (call $set (i32.const 2048) (i32.const 3) (i32.const 2048) (i32.const 3) (i32.const 0) (i64.const 0) (i32.const 512))
  (call $send
    (i32.const 2064) (i32.const 10)
    (i32.const 2048) (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 2048) (i32.const 3) (i32.const 0) (i32.const 0)
    (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
    (i32.const 576))
  ;; Both were taken: else the trap would prove nothing.
  (if (i32.or (i32.load8_u (i32.const 512)) (i32.load8_u (i32.const 576))) (then (loop (br 0))))
  unreachable)
