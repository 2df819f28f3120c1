//! CustomResourceDefinitions: from the stored object to descriptors.
