"""What a SavedModel does besides computing, as far as its file tells: a SavedModel is a program, and may be hostile."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

_COMPUTING = {
    "numbers": """
        Abs Acos Acosh Add AddN AddV2 Angle ArgMax ArgMin Asin Asinh Atan Atan2 Atanh BatchMatMul BatchMatMulV2
        BatchMatMulV3 Betainc Bincount Bitcast BitwiseAnd BitwiseOr BitwiseXor Bucketize Cast Ceil CheckNumerics
        CheckNumericsV2 Cholesky ClipByValue Complex ComplexAbs Conj Cos Cosh Cross Cumprod Cumsum
        CumulativeLogsumexp DenseBincount Dequantize Digamma Div DivNoNan Einsum Erf Erfc Erfinv EuclideanNorm
        Exp Expm1 FFT FFT2D FFT3D FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars
        FakeQuantWithMinMaxVarsPerChannel Floor FloorDiv FloorMod HistogramFixedWidth IFFT IFFT2D IFFT3D IRFFT
        IRFFT2D IRFFT3D Igamma Igammac Imag Inv Invert IsFinite IsInf IsNan L2Loss LeftShift Lgamma LinSpace Log
        Log1p LogicalAnd LogicalNot LogicalOr MatMul MatrixDeterminant MatrixInverse MatrixSolve MatrixSolveLs
        MatrixTriangularSolve Max Maximum Mean Min Minimum Mod Mul MulNoNan Ndtri Neg NextAfter Polygamma Pow
        Prod Qr QuantizeAndDequantizeV2 QuantizeAndDequantizeV3 QuantizeAndDequantizeV4 QuantizeV2 RFFT RFFT2D
        RFFT3D Range Real RealDiv Reciprocal RightShift Rint Round Rsqrt SelfAdjointEigV2 Sign Sin Sinh Sqrt
        Square SquaredDifference Sub Sum Svd Tan Tanh TruncateDiv TruncateMod Xdivy Xlog1py Xlogy Zeta
    """,
    "comparison and choice": """
        All Any ApproximateEqual Assert Equal Greater GreaterEqual InTopK InTopKV2 Less LessEqual NotEqual
        NthElement Select SelectV2 TopK TopKV2 Unique UniqueV2 UniqueWithCounts UniqueWithCountsV2 Where
    """,
    "arrays": """
        BatchToSpace BatchToSpaceND BroadcastArgs BroadcastGradientArgs BroadcastTo Concat ConcatOffset ConcatV2
        Const DepthToSpace Diag DiagPart DynamicPartition DynamicStitch Empty EnsureShape ExpandDims
        ExtractImagePatches Fill Gather GatherNd GatherV2 Identity IdentityN InvertPermutation MatrixBandPart
        MatrixDiag MatrixDiagPart MatrixDiagPartV2 MatrixDiagPartV3 MatrixDiagV2 MatrixDiagV3 MatrixSetDiag
        MatrixSetDiagV2 MatrixSetDiagV3 MirrorPad MirrorPadGrad OneHot OnesLike Pack Pad PadV2 ParallelConcat
        ParallelDynamicStitch Rank Reshape Reverse ReverseSequence ReverseV2 Roll ScatterNd SegmentMax
        SegmentMean SegmentMin SegmentProd SegmentSum Shape ShapeN Size Slice Snapshot SpaceToBatch
        SpaceToBatchND SpaceToDepth Split SplitV Squeeze StridedSlice StridedSliceGrad TensorListConcatV2
        TensorListElementShape TensorListFromTensor TensorListGather TensorListGetItem TensorListLength
        TensorListPopBack TensorListPushBack TensorListReserve TensorListResize TensorListScatterV2
        TensorListSetItem TensorListSplit TensorListStack TensorScatterAdd TensorScatterMax TensorScatterMin
        TensorScatterSub TensorScatterUpdate TensorStridedSliceUpdate Tile Transpose ConjugateTranspose Unpack
        UnravelIndex UnsortedSegmentMax UnsortedSegmentMin UnsortedSegmentProd UnsortedSegmentSum ZerosLike
    """,
    "layers and their gradients": """
        AvgPool AvgPool3D AvgPool3DGrad AvgPoolGrad BiasAdd BiasAddGrad Conv2D Conv2DBackpropFilter
        Conv2DBackpropInput Conv3D Conv3DBackpropFilterV2 Conv3DBackpropInputV2 DepthwiseConv2dNative
        DepthwiseConv2dNativeBackpropFilter DepthwiseConv2dNativeBackpropInput Dilation2D
        Dilation2DBackpropFilter Dilation2DBackpropInput Elu EluGrad FusedBatchNorm FusedBatchNormGrad
        FusedBatchNormGradV2 FusedBatchNormGradV3 FusedBatchNormV2 FusedBatchNormV3 LRN LRNGrad LeakyRelu
        LeakyReluGrad LogSoftmax MaxPool MaxPool3D MaxPool3DGrad MaxPoolGrad MaxPoolGradV2 MaxPoolV2
        MaxPoolWithArgmax PreventGradient Relu Relu6 Relu6Grad ReluGrad RsqrtGrad Selu SeluGrad Sigmoid
        SigmoidGrad Softmax SoftmaxCrossEntropyWithLogits Softplus SoftplusGrad Softsign SoftsignGrad
        SparseSoftmaxCrossEntropyWithLogits SqrtGrad StopGradient TanhGrad
    """,
    "images": """
        AdjustContrastv2 AdjustHue AdjustSaturation CombinedNonMaxSuppression CropAndResize
        CropAndResizeGradImage DecodeBmp DecodeGif DecodeImage DecodeJpeg DecodePng EncodeJpeg EncodePng
        ExtractJpegShape HSVToRGB ImageProjectiveTransformV2 ImageProjectiveTransformV3 NonMaxSuppressionV3
        NonMaxSuppressionV4 NonMaxSuppressionV5 RGBToHSV ResizeArea ResizeBicubic ResizeBicubicGrad
        ResizeBilinear ResizeBilinearGrad ResizeNearestNeighbor ResizeNearestNeighborGrad ScaleAndTranslate
        ScaleAndTranslateGrad
    """,
    "chance": """
        Multinomial RandomShuffle RandomStandardNormal RandomUniform RandomUniformInt StatelessMultinomial
        StatelessRandomGetAlg StatelessRandomGetKeyCounter StatelessRandomNormal StatelessRandomNormalV2
        StatelessRandomUniform StatelessRandomUniformFullIntV2 StatelessRandomUniformInt
        StatelessRandomUniformIntV2 StatelessRandomUniformV2 StatelessShuffle StatelessTruncatedNormal
        StatelessTruncatedNormalV2 TruncatedNormal
    """,
    "words": """
        AsString DecodeBase64 DecodeRaw EncodeBase64 ReduceJoin RegexFullMatch RegexReplace StaticRegexFullMatch
        StaticRegexReplace StringFormat StringJoin StringLength StringLower StringSplitV2 StringStrip
        StringToNumber StringUpper Substr
    """,
    "variables, tables in memory, and calls of functions of the model itself": """
        AssignAddVariableOp AssignSubVariableOp AssignVariableOp HashTableV2 LookupTableFindV2
        LookupTableImportV2 LookupTableSizeV2 MutableHashTableV2 ReadVariableOp ResourceGather ResourceGatherNd
        VarHandleOp VarIsInitializedOp VariableShape Case If NoOp PartitionedCall Placeholder
        PlaceholderWithDefault StatefulPartitionedCall StatelessCase StatelessIf StatelessWhile While
    """,
}

COMPUTING: frozenset[str] = frozenset(name for names in _COMPUTING.values() for name in names.split())
"""Operations of TensorFlow that compute and do nothing else.

Whichever is not listed may read or write files, run Python, or speak to other machines; some hide it behind their name,
such as `ImmutableConst`, `PrintV2` and `GenerateVocabRemapping`.
"""


def unsafe_operations(content: Any) -> list[str]:
    """Return the operations of a SavedModel that are not known to compute only, sorted.

    Those of the saver, which every SavedModel has and which run only when somebody saves it again, do not count, unless
    something else calls them.

    Args:
        content: The protocol buffer `SavedModel`.
    """
    return sorted({one for graph in content.meta_graphs for one in _unsafe(graph)})


def _unsafe(graph: Any) -> Iterator[str]:
    saver = graph.saver_def
    names = {name.partition(":")[0] for name in (saver.save_tensor_name, saver.restore_op_name) if name}
    nodes = [node for node in graph.graph_def.node if node.name not in names]
    library = graph.graph_def.library
    called = set(_called(nodes)) | set(graph.object_graph_def.concrete_functions)
    called |= {gradient.gradient_func for gradient in library.gradient}
    called |= {gradient.gradient_func for gradient in library.registered_gradients}
    functions = {function.signature.name: function for function in library.function}
    savers = set(_called(node for node in graph.graph_def.node if node.name in names))
    savers -= called.union(*(_called(function.node_def) for function in functions.values()))
    for nodes_of in (nodes, *(function.node_def for name, function in functions.items() if name not in savers)):
        yield from (node.op for node in nodes_of if node.op not in COMPUTING and node.op not in functions)


def _called(nodes: Iterable[Any]) -> Iterator[str]:
    """Yield the names of the functions that nodes call."""
    for node in nodes:
        yield node.op  # a function may stand there like an operation
        for value in node.attr.values():
            if value.HasField("func"):
                yield value.func.name
            yield from (function.name for function in value.list.func)
