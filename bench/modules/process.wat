;; A program with the calling convention of AO's modules, in place of aos where that is not at hand.
;;
;; `handle` counts its calls, writes a few bytes into each of 200 pieces of 4 KiB, as the collector
;; of a Lua program does, and answers with the count and one message.
(module
  (memory (export "memory") i64 192 32768)
  (global $answer i64 (i64.const 1024))
  (data (i64.const 1024)
    "{\"ok\":true,\"response\":{\"Output\":{\"data\":\"00000000\",\"prompt\":\"> \"},\"Messages\":[{\"Target\":\"Foo\",\"Data\":\"Bar\",\"Anchor\":\"00000000000000000000000000000001\",\"Tags\":[{\"name\":\"Action\",\"value\":\"Hi\"}]}],\"Spawns\":[],\"Assignments\":[]}}\00")
  (data (i64.const 512) "\00\00\60\00\00\00\00\00")

  ;; Addresses from 6 MiB on, never given back.
  (func (export "malloc") (param $size i64) (result i64)
    (i64.load (i64.const 512))
    (i64.store (i64.const 512)
      (i64.and (i64.add (i64.add (i64.load (i64.const 512)) (local.get $size)) (i64.const 15))
               (i64.const -16))))

  (func $count (local $at i64)
    (local.set $at (i64.const 1072))
    (loop $carry
      (i32.store8 (local.get $at) (i32.add (i32.load8_u (local.get $at)) (i32.const 1)))
      (if (i32.gt_u (i32.load8_u (local.get $at)) (i32.const 57))
        (then
          (i32.store8 (local.get $at) (i32.const 48))
          (local.set $at (i64.sub (local.get $at) (i64.const 1)))
          (br_if $carry (i64.gt_u (local.get $at) (i64.const 1064)))))))

  (func $work (param $call i64) (local $piece i64) (local $byte i64)
    (loop $pieces
      (local.set $byte (i64.const 0))
      (loop $bytes
        (i64.store8
          (i64.add (i64.const 1048576)
            (i64.add (i64.mul (local.get $piece) (i64.const 4096))
              (i64.mul (local.get $byte) (i64.const 112))))
          (i64.add (local.get $call) (local.get $byte)))
        (local.set $byte (i64.add (local.get $byte) (i64.const 1)))
        (br_if $bytes (i64.lt_u (local.get $byte) (i64.const 36))))
      (local.set $piece (i64.add (local.get $piece) (i64.const 1)))
      (br_if $pieces (i64.lt_u (local.get $piece) (i64.const 200)))))

  (func (export "handle") (param $message i64) (param $environment i64) (result i64)
    (if (i32.ne (i32.load8_u (local.get $message)) (i32.const 123)) (then unreachable))
    (if (i32.ne (i32.load8_u (local.get $environment)) (i32.const 123)) (then unreachable))
    (call $count)
    (call $work (i64.load8_u (i64.const 1072)))
    (global.get $answer)))
