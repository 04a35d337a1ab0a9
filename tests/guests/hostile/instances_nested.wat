;; A hundred instances of a module in one component, which the test writes in the place of @many.
(component
  (core module $m (func (export "f")))
  @many
  (core instance $i (instantiate $m))
  (func $f (canon lift (core func $i "f")))
  (instance $t (export "transform" (func $f)))
  (export "lockgate:plugin/transformer@0.1.0" (instance $t)))
