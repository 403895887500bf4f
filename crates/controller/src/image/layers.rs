//! The layers below a topic's own configuration, held so that they can be lent.

use std::sync::Arc;

use naru_model::config::{Layers, Props};

use super::{ConfigMap, ConfigResource, MetadataImage};

/// What is set for one broker, for all brokers, and in the file.
#[derive(Debug, Clone)]
pub struct ConfigLayers {
    broker: ConfigMap,
    cluster: ConfigMap,
    file: Arc<Props>,
}

impl ConfigLayers {
    /// The layers, to be asked.
    pub fn layers(&self) -> Layers<'_> {
        Layers { broker: &self.broker, cluster: &self.cluster, file: &self.file }
    }
}

impl MetadataImage {
    /// The layers as broker `node_id` sees them, whose properties file says `file`.
    pub fn config_layers(&self, node_id: i32, file: &Arc<Props>) -> ConfigLayers {
        ConfigLayers {
            broker: self.config(&ConfigResource::broker(node_id)),
            cluster: self.config(&ConfigResource::cluster()),
            file: Arc::clone(file),
        }
    }
}
