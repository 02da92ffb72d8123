# OpenSSL: digests and ciphers by every code path the CPU offers, signatures, key agreement.
set -eu
seq 1 $((20000 * SCALE)) > data
for digest in md5 sha1 sha224 sha256 sha384 sha512 sha3-256 sha3-512 shake128 blake2b512 blake2s256 \
    sm3 ripemd160; do
    openssl dgst -"$digest" data 2>&1 | tail -n 1
done
openssl dgst -sha256 -hmac secret data
key=000102030405060708090a0b0c0d0e0f iv=f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff
for cipher in aes-128-cbc aes-128-ctr aes-256-cbc aes-256-ctr aes-128-ecb aes-128-ofb aes-128-cfb \
    camellia-128-cbc aria-128-cbc chacha20 sm4-cbc des-ede3-cbc; do
    case $cipher in
    *256* | chacha20) k=$key$key ;;
    des*) k=$key${key%????????????????} ;;
    *) k=$key ;;
    esac
    openssl enc -"$cipher" -K "$k" -iv "$iv" -in data -out sealed 2> warnings
    openssl enc -d -"$cipher" -K "$k" -iv "$iv" -in sealed -out opened 2> warnings
    cmp data opened
    echo "$cipher $(openssl dgst -sha256 -r sealed)"
done

# A key that is given, so that deterministic signatures can be compared byte by byte.
printf '302e020100300506032b657004220420%064d' 7 | sed 's/../\\x&/g' > hex
printf "$(cat hex)" > ed25519.der
openssl pkey -inform DER -in ed25519.der -out ed25519.pem
openssl pkey -in ed25519.pem -pubout -out ed25519.pub
openssl dgst -sha256 -binary -out digest data
openssl pkeyutl -sign -inkey ed25519.pem -rawin -in digest -out signature
od -A n -t x1 signature
openssl pkeyutl -verify -pubin -inkey ed25519.pub -rawin -in digest -sigfile signature

# Keys made here: what they are is chance, what they do is not.
openssl genrsa -out rsa.pem 2048 2> warnings
openssl rsa -in rsa.pem -check -noout
openssl rsa -in rsa.pem -pubout -out rsa.pub 2> warnings
for curve in P-256 P-384 P-521 secp256k1 brainpoolP256r1; do
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:$curve -out "$curve.pem"
    openssl pkey -in "$curve.pem" -pubout -out "$curve.pub"
done
for name in rsa P-256 P-384 P-521 secp256k1 brainpoolP256r1; do
    openssl dgst -sha256 -sign "$name.pem" -out signature data
    echo "$name $(openssl dgst -sha256 -verify "$name.pub" -signature signature data)"
done
for curve in X25519 X448; do
    openssl genpkey -algorithm $curve -out a.pem
    openssl genpkey -algorithm $curve -out b.pem
    openssl pkey -in a.pem -pubout -out a.pub
    openssl pkey -in b.pem -pubout -out b.pub
    openssl pkeyutl -derive -inkey a.pem -peerkey b.pub -out one
    openssl pkeyutl -derive -inkey b.pem -peerkey a.pub -out two
    cmp one two
    echo "$curve agrees"
done
openssl prime -generate -bits 256 > prime
openssl prime -checks 20 "$(cat prime)" | sed 's/.* is/it is/'
openssl req -x509 -key rsa.pem -subj /CN=ringer -days 3650 -out cert.pem
openssl verify -CAfile cert.pem cert.pem
openssl speed -seconds 1 -bytes 1024 -evp aes-128-gcm > speed 2>&1
openssl speed -seconds 1 -bytes 1024 -evp sha256 > speed 2>&1
openssl speed -seconds 1 ecdsap256 > speed 2>&1
echo "speed: $(grep -c 'ecdsa (nistp256)' speed)"
