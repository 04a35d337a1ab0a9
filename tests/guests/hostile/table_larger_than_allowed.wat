;; A table of ten million at the start.
(table 10000000 funcref)
(func $attack (type $transform) (i32.const 1024))
