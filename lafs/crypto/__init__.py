"""Ground: one small file for each primitive, all pure; nothing here waits, reads a disk or knows the time.

    base32              the alphabet of caps and keys: `encode`, `decode` (strict), `decode_lax`
    netstring           `netstring`, `split`
    hashes              every tag in one table (`Tag`), `tagged_hash`, `tagged_pair_hash`, `TaggedHasher`,
                        hashes of blocks, segments and UEBs
    merkle              `MerkleTree` (complete), `PartialTree` (verifying), node arithmetic
    aes                 `CtrStream`, `ctr`
    ed25519             `SigningKey`, `VerifyingKey`
    rsa                 `PrivateKey`, `PublicKey` of mutable files
    storage_index       `StorageIndex`
    derivations         keys, secrets and indexes that follow from others: `ConvergenceHasher`,
                        `storage_index_of_read_key`, `lease_secrets`, `stored_lease_secret`, the mutable chain
                        (`write_key_of_private_key` ... `data_key`), `mutable_container_magic`, `ring_position`,
                        `permutation_seed`, `default_permutation_seed`
    directory_entries   the encrypted write cap of a directory's child; the name under which a backup
                        remembers a directory
    certificate_ids     TubID and key pin of a TLS certificate

Spec: 01. Caps themselves are one floor up, in lafs/capability.py.
"""
