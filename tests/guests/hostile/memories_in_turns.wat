;; Takes memory from four memories in turns: each alone is within the limit, all together are not.
(memory (export "memory") 4)
(memory $b 1)
(memory $c 1)
(memory $d 1)
(func $attack (type $transform)
  (loop $more
    (if (i32.eq (memory.grow 0 (i32.const 100)) (i32.const -1)) (then unreachable))
    (if (i32.eq (memory.grow $b (i32.const 100)) (i32.const -1)) (then unreachable))
    (if (i32.eq (memory.grow $c (i32.const 100)) (i32.const -1)) (then unreachable))
    (if (i32.eq (memory.grow $d (i32.const 100)) (i32.const -1)) (then unreachable))
    (br $more))
  unreachable)
