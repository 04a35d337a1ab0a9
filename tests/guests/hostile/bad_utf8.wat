;; Gives back one message whose content type is no UTF-8.
(data (i32.const 2048) "text/\ff\fe\c0\80")
(func $attack (type $transform)
  (i32.store (i32.const 4096) (i32.const 2048))
  (i32.store (i32.const 4100) (i32.const 9))
  (i32.store (i32.const 1036) (i32.const 4096))
  (i32.store (i32.const 1040) (i32.const 1))
  (i32.const 1024))
