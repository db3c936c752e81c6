"""The L-layer fully connected network of the deep-learning course, in NumPy.

The files here are the course's core, and know nothing but arrays: X (n_x, m), labels (m,), W, b. In reading order:

1. `config`: every setting of a network and of a training run, with its default and its check;
2. `parameters`: W and b of all layers in one vector, and the table of matrix shapes;
3. `activations`: g and its derivative, side by side in one table;
4. `initializers`: the values that W starts with;
5. `heads`: output layers, their costs and the gradient by the logits;
6. `batch_norm`: batch normalisation, forward and backward;
7. `network`: forward and backward through all layers, with their caches;
8. `gradient_check`: the backward pass compared with a numerical gradient;
9. `batches`: what a data set offers to training, and the one in memory;
10. `mixup`: blended examples, an augmentation that works on arrays of any kind;
11. `optimizers`: how a gradient becomes a step, from plain descent to Adam;
12. `schedules`: the learning rate as training proceeds;
13. `training`: the loop over epochs and batches, as a generator, and `bound`, which keeps layer 1 near its edges;
14. `compiled`: the optimisers' steps compiled by Numba, if it is installed;
15. `learning_rate_range`: a test of many learning rates in one short run;
16. `folding`: batch normalisation and standardisation become part of W and b;
17. `calibration`: probabilities that can be trusted, and the uncertainty of each;
18. `estimator`: all of it as a scikit-learn classifier.

Two rooms know more than arrays. In `model.edges` an example is an image of (height, width, channels): a first layer
of edge detectors is learned from photographs without labels, and scored. `model.storage` knows files: networks and
training runs in HDF5. Nothing here knows a folder of images, a command line or a page; that is `pipeline`, which
`model` never imports.
"""
