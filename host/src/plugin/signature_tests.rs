//! What is a signature, and what only looks like one.

use super::*;
use crate::random::SeededRandom;

/// RFC 8032, section 7.1, test 3.
const PUBLIC: &str = "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025";
const SECRET: &str = "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7";
const MESSAGE: &[u8] = &[0xaf, 0x82];
const SIGNED: &str =
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a";

pub fn key(seed: u64) -> SigningKey {
    SigningKey::from_pem(&Secret::new(SigningKey::new_pem(&SeededRandom::new(seed)).as_bytes())).unwrap()
}

fn bare(hex: &str) -> Result<PublicKey, String> {
    PublicKey::parse(&STANDARD.encode(hex::decode(hex).unwrap()))
}

fn beside(signature: &[u8]) -> Result<Option<Signature>, Problem> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p@1.0.0.wasm");
    std::fs::write(Signature::path_of(&path), signature).unwrap();
    Signature::beside(&path)
}

#[test]
fn what_is_not_64_bytes_is_no_signature() {
    for bytes in [&[][..], &[0; 63], &[0; 65], &[0; 64 * 1000], STANDARD.encode([0; 64]).as_bytes()] {
        let problem = beside(bytes).unwrap_err();
        assert_eq!(problem.code, Code::Unsigned, "{} bytes", bytes.len());
        assert!(problem.message.contains("an Ed25519 signature has 64"), "{problem}");
    }
    assert_eq!(beside(&[7; 64]).unwrap(), Signature::of(&[7; 64]));
    assert_eq!(Signature::beside(Path::new("/nowhere/p@1.0.0.wasm")).unwrap(), None);
}

#[test]
fn a_signature_is_for_one_key_and_every_byte_of_one_file() {
    let (key, other) = (key(1), key(2));
    let file = b"a component".to_vec();
    let signature = key.sign(&file);
    assert!(key.public().has_signed(&file, &signature));
    assert!(!other.public().has_signed(&file, &signature));
    assert!(!key.public().has_signed(&[&file[..], b"\0\x01\0"].concat(), &signature), "with a section added");
    assert!(!key.public().has_signed(&file[..file.len() - 1], &signature), "cut");
    assert!(!key.public().has_signed(b"", &signature));
    for bit in 0..SIGNATURE_BYTES * 8 {
        let mut flipped = signature;
        flipped.0[bit / 8] ^= 1 << (bit % 8);
        assert!(!key.public().has_signed(&file, &flipped), "bit {bit}");
    }
}

#[test]
fn no_second_signature_can_be_made_of_a_first_one() {
    // The group's order, little-endian: S and S + order are the same to who does not look.
    let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
    let mut signature = Signature::of(&hex::decode(SIGNED).unwrap()).unwrap();
    let mut carry = 0;
    for (byte, add) in signature.0[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
    }
    assert!(!bare(PUBLIC).unwrap().has_signed(MESSAGE, &signature));
}

#[test]
fn a_key_that_anybody_can_sign_for_is_refused() {
    // Everybody's signature: R is the neutral point, S is zero. Without the check it would be one over everything.
    let neutral = PublicKey(SMALL_ORDER[1]);
    let everybodys = Signature(std::array::from_fn(|index| u8::from(index == 0)));
    assert!(neutral.has_signed(b"anything", &everybodys) && neutral.has_signed(b"at all", &everybodys));
    for mut key in SMALL_ORDER {
        for sign in [0, 0x80] {
            key[KEY_BYTES - 1] = (key[KEY_BYTES - 1] & 0x7f) | sign;
            assert_eq!(PublicKey::parse(&STANDARD.encode(key)), Err("is a key that anybody can sign for".to_owned()));
        }
    }
}

#[test]
fn what_is_no_key_is_refused() {
    for text in ["", "acme", "MCowBQYDK2VwAyEA", "-----BEGIN PUBLIC KEY-----", &STANDARD.encode([1; 31]), &STANDARD.encode([1; 33])] {
        assert!(PublicKey::parse(text).is_err(), "{text}");
    }
    // A public key on another curve, and a private one in the wrong place.
    assert!(PublicKey::parse("MCowBQYDK2VuAyEAhSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=").is_err());
    assert!(PublicKey::parse(&STANDARD.encode([&PRIVATE_PREFIX[..], &[1; 32]].concat())).is_err());
    assert!(SigningKey::from_pem(&Secret::new("no PEM")).is_none());
}

#[test]
fn signs_as_the_standard_says_with_keys_as_openssl_writes_them() {
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode([&PRIVATE_PREFIX[..], &hex::decode(SECRET).unwrap()].concat())
    );
    let key = SigningKey::from_pem(&Secret::new(pem.as_bytes())).unwrap();
    assert_eq!(key.public(), bare(PUBLIC).unwrap());
    assert_eq!(hex::encode(key.sign(MESSAGE).bytes()), SIGNED);
    assert!(key.public().has_signed(MESSAGE, &key.sign(MESSAGE)));
    assert_eq!(PublicKey::parse(&key.public().to_string()), Ok(key.public()));
    // RFC 8410, section 10.1 and 10.3: the same key in both forms.
    let private =
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    let public = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
    assert_eq!(SigningKey::from_pem(&Secret::new(private)).unwrap().public().to_string(), public);
}
