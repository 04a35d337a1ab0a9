;; Gives back an odd address.
(func $attack (type $transform) (i32.const 1025))
