;; Fills the largest table it may have again and again.
(table $t 10000 funcref)
(func $attack (type $transform)
  (loop (table.fill $t (i32.const 0) (ref.null func) (i32.const 10000)) (br 0))
  unreachable)
