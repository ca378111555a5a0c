//! TPM 2.0 quotes, event logs, credential activation and policy.
