;; Grows a table until it is refused, then traps: what a table holds is memory too.
(table $t 1 funcref)
(func $attack (type $transform)
  (loop $more
    (if (i32.eq (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1)) (then unreachable))
    (br $more))
  unreachable)
