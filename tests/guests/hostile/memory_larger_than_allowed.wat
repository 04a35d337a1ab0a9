;; Asks for more at the start than a call may have in all.
(memory (export "memory") 1100)
(func $attack (type $transform) (i32.const 1024))
