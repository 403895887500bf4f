//! The enumerations of ACLs, with the numbers they have in requests and records.

macro_rules! words {
    ($(#[doc = $about:literal])* $name:ident {
        $($(#[doc = $doc:literal])* $variant:ident = $code:literal $text:literal;)*
    }) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "the words are Kafka's own")]
        #[repr(i8)]
        pub enum $name { $($(#[doc = $doc])* $variant = $code,)* }

        impl $name {
            /// The number in requests and records.
            pub const fn code(self) -> i8 {
                self as i8
            }

            /// What the number means; `Unknown` if nobody defined it.
            pub const fn from_code(code: i8) -> Self {
                match code { $($code => Self::$variant,)* _ => Self::Unknown }
            }

            /// Kafka's word.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

words! {
    /// What kind of thing an ACL is about.
    ResourceType {
        Unknown = 0 "UNKNOWN";
        /// In filters: every kind.
        Any = 1 "ANY";
        Topic = 2 "TOPIC";
        Group = 3 "GROUP";
        Cluster = 4 "CLUSTER";
        TransactionalId = 5 "TRANSACTIONAL_ID";
        DelegationToken = 6 "DELEGATION_TOKEN";
        User = 7 "USER";
    }
}

words! {
    /// How the name of an ACL's resource is meant (KIP-290).
    PatternType {
        Unknown = 0 "UNKNOWN";
        /// In filters: every kind of pattern.
        Any = 1 "ANY";
        /// In filters: every pattern that the name matches.
        Match = 2 "MATCH";
        Literal = 3 "LITERAL";
        Prefixed = 4 "PREFIXED";
    }
}

words! {
    /// What somebody wants to do.
    Operation {
        Unknown = 0 "UNKNOWN";
        /// In filters: every operation.
        Any = 1 "ANY";
        /// In ACLs: every operation.
        All = 2 "ALL";
        Read = 3 "READ";
        Write = 4 "WRITE";
        Create = 5 "CREATE";
        Delete = 6 "DELETE";
        Alter = 7 "ALTER";
        Describe = 8 "DESCRIBE";
        ClusterAction = 9 "CLUSTER_ACTION";
        DescribeConfigs = 10 "DESCRIBE_CONFIGS";
        AlterConfigs = 11 "ALTER_CONFIGS";
        IdempotentWrite = 12 "IDEMPOTENT_WRITE";
        CreateTokens = 13 "CREATE_TOKENS";
        DescribeTokens = 14 "DESCRIBE_TOKENS";
        TwoPhaseCommit = 15 "TWO_PHASE_COMMIT";
    }
}

words! {
    /// Whether an ACL allows or denies.
    Permission {
        Unknown = 0 "UNKNOWN";
        /// In filters: both.
        Any = 1 "ANY";
        Deny = 2 "DENY";
        Allow = 3 "ALLOW";
    }
}

impl ResourceType {
    /// The operations that there are on such a resource.
    pub const fn operations(self) -> &'static [Operation] {
        use Operation::{
            Alter, AlterConfigs, ClusterAction, Create, CreateTokens, Delete, Describe,
            DescribeConfigs, DescribeTokens, IdempotentWrite, Read, TwoPhaseCommit, Write,
        };
        match self {
            Self::Unknown | Self::Any => &[],
            Self::Topic => {
                &[Read, Write, Create, Delete, Alter, Describe, DescribeConfigs, AlterConfigs]
            }
            Self::Group => &[Read, Delete, Describe, DescribeConfigs, AlterConfigs],
            Self::Cluster => &[
                Create,
                Alter,
                Describe,
                ClusterAction,
                DescribeConfigs,
                AlterConfigs,
                IdempotentWrite,
            ],
            Self::TransactionalId => &[Write, Describe, TwoPhaseCommit],
            Self::DelegationToken => &[Describe],
            Self::User => &[CreateTokens, DescribeTokens],
        }
    }
}

impl Operation {
    /// Whether a permission for `self` is one for `wanted`, too. Only permissions imply: who is
    /// denied to read may still describe.
    pub const fn implies(self, wanted: Self) -> bool {
        match self {
            Self::All => true,
            Self::Read | Self::Write | Self::Delete | Self::Alter
                if matches!(wanted, Self::Describe) =>
            {
                true
            }
            Self::AlterConfigs if matches!(wanted, Self::DescribeConfigs) => true,
            _ => self as i8 == wanted as i8,
        }
    }

    /// Whether a denial of `self` is one of `wanted`.
    pub const fn denies(self, wanted: Self) -> bool {
        matches!(self, Self::All) || self as i8 == wanted as i8
    }
}
