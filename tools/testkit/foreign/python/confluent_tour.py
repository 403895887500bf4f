"""confluent-kafka (librdkafka) against the broker at $BOOTSTRAP; $ONLY picks cases by a part of their name."""

import confluent_topics
import confluent_configs
import confluent_records
import confluent_offsets
import confluent_groups
import confluent_transactions
import confluent_limits
import report

report.run()
