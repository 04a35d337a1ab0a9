;; Fills 60 MiB again and again, and so touches every page it may have.
(memory (export "memory") 980)
(func $attack (type $transform)
  (loop (memory.fill (i32.const 0) (i32.const 255) (i32.const 62914560)) (br 0))
  unreachable)
