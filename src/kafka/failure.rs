//! What an error of a client means for a run.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Errno};

/// What an error means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// A broker does not answer now: librdkafka tries again by itself.
    Unreachable,
    /// Messages that were not read are gone.
    Lost,
    /// A topic or a partition is gone.
    Missing,
    /// Trying again does not help: a wrong password, a missing permission, a wrong certificate.
    Refused,
    /// Of no consequence.
    Passing,
}

/// The meaning of an error.
pub(super) fn failure_of(error: &KafkaError) -> Failure {
    let Some(code) = error.rdkafka_error_code() else { return Failure::Refused };
    match code {
        Errno::BrokerTransportFailure
        | Errno::AllBrokersDown
        | Errno::Resolve
        | Errno::OperationTimedOut
        | Errno::MessageTimedOut
        | Errno::TimedOutQueue
        | Errno::NetworkException
        | Errno::RequestTimedOut
        | Errno::BrokerNotAvailable
        | Errno::LeaderNotAvailable
        | Errno::NotLeaderForPartition
        | Errno::ReplicaNotAvailable
        | Errno::UnknownBroker
        | Errno::CoordinatorNotAvailable
        | Errno::CoordinatorLoadInProgress
        | Errno::NotCoordinator
        | Errno::FencedLeaderEpoch
        | Errno::UnknownLeaderEpoch
        | Errno::OffsetNotAvailable
        | Errno::KafkaStorageError => Failure::Unreachable,
        Errno::AutoOffsetReset | Errno::OffsetOutOfRange => Failure::Lost,
        Errno::UnknownTopic | Errno::UnknownPartition | Errno::UnknownTopicOrPartition | Errno::UnknownTopicId => {
            Failure::Missing
        }
        Errno::PartitionEOF | Errno::Retry | Errno::InProgress => Failure::Passing,
        _ => Failure::Refused,
    }
}
