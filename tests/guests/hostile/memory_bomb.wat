;; Takes memory, a page at a time, touches it, and traps when there is no more.
(func $attack (type $transform)
  (local $page i32)
  (loop $more
    (local.set $page (memory.grow (i32.const 1)))
    (if (i32.eq (local.get $page) (i32.const -1)) (then unreachable))
    (i32.store (i32.mul (local.get $page) (i32.const 65536)) (i32.const 1))
    (br $more))
  unreachable)
