;; Gives back an address in its memory, behind which there is not enough of it.
(func $attack (type $transform) (i32.const 262136))
