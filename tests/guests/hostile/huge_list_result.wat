;; Gives back a list of four thousand million messages that are not there.
(func $attack (type $transform)
  (i32.store (i32.const 1036) (i32.const 2048))
  (i32.store (i32.const 1040) (i32.const -1))
  (i32.const 1024))
