declare module 'bcrypt-pbkdf' {
  const bcrypt: {
    /** Bytes in a hash. */
    readonly HASHSIZE: number;
    /** bcrypt_hash of OpenBSD's bcrypt_pbkdf.c: two SHA-512 digests -> HASHSIZE bytes in `out`. */
    hash(sha2pass: Uint8Array, sha2salt: Uint8Array, out: Uint8Array): void;
  };
  export default bcrypt;
}
