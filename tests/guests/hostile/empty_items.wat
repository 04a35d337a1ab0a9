;; Gives back a hundred thousand messages without a byte in them.
(memory (export "memory") 128)
(func $attack (type $transform)
  (i32.store (i32.const 1036) (i32.const 131072))
  (i32.store (i32.const 1040) (i32.const 100000))
  (i32.const 1024))
